"""Names of projects and folders."""

from pathlib import Path

import pytest

from rebake.errors import UsageError
from rebake.scaffold.names import Name, check_folder, project_name, service_name


def test_a_good_name_is_kept_without_a_word() -> None:
    assert project_name("shop-2") == Name("shop-2", "")


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("My Shop", "my-shop"),
        ("Lädchen", "ladchen"),
        ("-shop", "shop"),
        ("shop_", "shop"),
        ("x;touch y", "x-touch-y"),
        ("$(touch y)", "touch-y"),
        ("../shop", "shop"),
        ("--flag", "flag"),
        ("a" * 60, "a" * 40),
        ("a" * 39 + "-b", "a" * 39),
    ],
)
def test_another_becomes_a_slug_and_says_so(text: str, slug: str) -> None:
    name = project_name(text)
    assert name.slug == slug
    assert name.note == f"the project's name is {slug} (from {text!r})"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("日本", "no letter a-z, no digit"),
        ("---", "no letter a-z, no digit"),
        ("", "no letter a-z, no digit"),
        ("con", "Windows reserves it"),
        ("LPT1", "Windows reserves it"),
        ("class", "keyword"),
        ("None", "keyword"),
        ("fn", "keyword"),
        ("Rebake", "a package that the project needs"),
        ("python_on_whales", "a package that the project needs"),
    ],
)
def test_what_would_break_something_is_refused(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        project_name(text, {"rebake", "python-on-whales"})
    assert caught.value.hint == "name it otherwise: --data name=NAME"


@pytest.mark.parametrize("name", ["NUL", "com1.txt", "a:b", "a\nb", "a?", "shop.", "shop ", "-rf"])
def test_a_folder_that_not_every_system_can_have_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="folder"):
        check_folder(Path("/x") / name)


def test_the_root_is_no_folder_of_its_own() -> None:
    with pytest.raises(UsageError, match="no folder of its own"):
        check_folder(Path("/"))


@pytest.mark.parametrize("name", ["shop", "Mein Lädchen", "日本", "a,b", ".shop"])
def test_others_are_fine(name: str) -> None:
    check_folder(Path("/x") / name)


@pytest.mark.parametrize("name", ["a", "mailer", "mail-out", "s3", "a" * 32])
def test_a_services_name_that_can_be_used(name: str) -> None:
    assert service_name(name, {"api": "a service"}) == name


@pytest.mark.parametrize(
    ("name", "says", "next_step"),
    [
        ("Mail Out", "lower-case letters", "did you mean mail-out?"),
        ("mail_out", "lower-case letters", "did you mean mail-out?"),
        ("2fast", "lower-case letters", "did you mean fast?"),
        ("API", "lower-case letters", "invoke add-service mailer"),  # its slug is taken
        ("--flag", "lower-case letters", "did you mean flag?"),
        ("x;touch y", "lower-case letters", "did you mean x-touch-y?"),
        ("$(touch x)", "lower-case letters", "did you mean touch-x?"),
        ("../up", "lower-case letters", "did you mean up?"),
        ("日本", "lower-case letters", "invoke add-service mailer"),
        ("a" * 33, "32 at most", "did you mean " + "a" * 32),
        ("a\n", "lower-case letters", "did you mean a?"),
        ("", "lower-case letters", "invoke add-service mailer"),
        ("match", "keyword of Rust", "choose another one"),
        ("con", "Windows reserves", "choose another one"),
        ("api", "a service has it", "choose another one"),
    ],
)
def test_a_services_name_that_can_not(name: str, says: str, next_step: str) -> None:
    with pytest.raises(UsageError) as refusal:
        service_name(name, {"api": "a service"})
    assert says in refusal.value.what
    assert next_step in refusal.value.hint
