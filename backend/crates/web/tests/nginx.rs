//! nginx in front: how it is started and told to end, with a script in its place.
#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs::{Permissions, read_to_string, set_permissions, write};
use std::os::unix::fs::PermissionsExt;

use app_testing::{Process, get, run};
use tempfile::TempDir;

const WEB: &str = env!("CARGO_BIN_EXE_web");
/// It never takes a connection, and ends when it is told to.
const SCRIPT: &str = r#"#!/bin/sh
case "$*" in
*"-s quit") : >"$1/told" ;;
*)
    echo "$*" >"$1/called"
    while [ ! -e "$1/told" ]; do sleep 0.02; done
    ;;
esac
"#;

struct Fixture {
    folder: TempDir,
    variables: Vec<(&'static str, String)>,
}

fn fixture(script: &str, template: &str) -> Fixture {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let program = path("fake");
    write(&program, script).unwrap();
    set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    write(path("template"), template).unwrap();
    let variables = vec![
        ("PATH", std::env::var("PATH").unwrap()),
        ("TMPDIR", path("")),
        ("WEB_ADDR", "127.0.0.1:0".to_owned()),
        ("WEB_ROOT", path("www")),
        ("API_URL", "http://192.0.2.1:8080".to_owned()),
        ("WEB_NGINX", format!("{program} {}", path(""))),
        ("WEB_NGINX_CONF", path("template")),
    ];
    Fixture { folder, variables }
}

impl Fixture {
    fn variables(&self) -> Vec<(&str, &str)> {
        let variables = self.variables.iter();
        variables
            .map(|(name, value)| (*name, value.as_str()))
            .collect()
    }

    async fn text(&self, name: &str) -> String {
        let file = self.folder.path().join(name);
        for _ in 0..500 {
            if let Ok(text) = read_to_string(&file)
                && !text.is_empty()
            {
                return text;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        format!("there is no {}", file.display())
    }
}

#[tokio::test]
async fn nginx_gets_the_socket_and_who_is_left_is_answered_at_the_end() {
    let fixture = fixture(SCRIPT, "listen ${ADDRESS}; root ${ROOT}; api ${API_URL};");
    let web = Process::start(WEB, &fixture.variables()).await;
    let called = fixture.text("called").await;
    assert!(called.contains("-e stderr -p "), "{called}");
    let root = fixture.folder.path().join("www");
    assert_eq!(
        fixture.text("nginx/nginx.conf").await,
        format!(
            "listen {}; root {}; api http://192.0.2.1:8080;",
            web.address,
            root.display()
        )
    );
    // Taken in by the system, and by nobody else.
    let waiting = tokio::spawn(get(web.address, "/healthz"));
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert!(!waiting.is_finished());
    web.terminate().await;
    assert_eq!(waiting.await.unwrap().text(), r#"{"status":"ok"}"#);
    let (code, log) = web.end().await;
    assert_eq!(code, Some(0), "{log:?}");
    assert!(fixture.folder.path().join("told").exists());
}

#[tokio::test]
async fn without_nginx_there_is_no_service() {
    for (script, template, expected) in [
        (
            "#!/bin/sh\nexit 3\n",
            "",
            "nginx has ended on its own: exit status: 3",
        ),
        (SCRIPT, "listen ${PORT};", "nobody knows what ${PORT} is"),
    ] {
        let fixture = fixture(script, template);
        let output = run(WEB, &[], &fixture.variables()).await;
        let log = String::from_utf8(output.stdout).unwrap();
        assert!(log.contains(expected), "{log}");
        assert_eq!(output.status.code(), Some(1));
    }
}
