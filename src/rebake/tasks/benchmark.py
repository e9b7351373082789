"""The tasks that measure: benchmark, workflow-test."""

from __future__ import annotations

from collections.abc import Sequence

from rebake.tasks.face import number, task
from rebake.tasks.session import Session


def _subjects() -> Sequence[str]:
    from rebake.benchmark.scenarios import SUBJECTS

    return SUBJECTS


def _scenarios() -> Sequence[str]:
    from rebake.benchmark.scenarios import SCENARIO_NAMES

    return SCENARIO_NAMES


@task(
    "benchmark",
    flags={
        "subjects": "rebake,naive,dummy-main,cargo-chef,cache-mount,floor; all when none is named",
        "scenarios": "cold,no-change,code-change,…; all when none is named",
        "runs": "samples of each subject in each scenario; more of quick ones (quick_times)",
        "project": "folder of the project to measure, instead of this one",
        "services": "sizes of generated workspaces to measure instead, such as 1,5,20",
        "resume": "go on with a benchmark that was stopped",
        "finish": "measure no more of one that was stopped: write down what there is",
        "check": "exit code 1 when a limit of [benchmark.limits] is not kept",
    },
    choices={"subjects": _subjects, "scenarios": _scenarios},
)
def benchmark(  # noqa: PLR0917 - Invoke reads flags from the signature
    session: Session,
    subjects: str = "",
    scenarios: str = "",
    runs: str = "",
    project: str = "",
    services: str = "",
    resume: bool = False,
    finish: bool = False,
    check: bool = False,
) -> dict[str, object] | None:
    """Measure these builds beside the usual recipes and beside the machine's own floor."""
    from rebake.tasks import benchmark_flow

    return benchmark_flow.benchmark(
        session,
        subjects=subjects,
        scenarios=scenarios,
        runs=number("runs", runs, least=1) if runs else None,
        folder=project,
        services=services,
        resume=resume,
        finish=finish,
        check=check,
    )


@task("workflow-test")
def workflow_test(session: Session) -> dict[str, object] | None:
    """Time a cold build, a rebuild and /healthz; limits: COLD_MAX_S, HOT_MAX_S, HEALTH_MAX_S."""
    from rebake.tasks import benchmark_flow

    return benchmark_flow.workflow_test(session)
