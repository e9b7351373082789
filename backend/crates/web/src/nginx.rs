//! nginx in front: it takes the connections, sends the files whose name holds a digest of their
//! content, and hands `/api` to the API. What it has no answer to, it asks this program for.
//!
//! Its configuration is the UI's (`ui/nginx.conf`); what only a running container knows is filled in
//! here. This program stays the container's first one, since nginx takes SIGTERM for "at once".

mod template;

use std::path::{Path, PathBuf};
use std::time::Duration;

use app_service::environment::LOG_LEVEL;
use app_service::{BoxError, ConfigError, Environment, Front, Variable};
use tokio::process::{Child, Command};
use tracing::level_filters::LevelFilter;

use crate::api_url::ApiUrl;

pub(crate) const COMMAND: Variable = Variable {
    name: "WEB_NGINX",
    default: "",
    expected: "a command",
    about: "what starts the nginx that takes the connections; nothing: there is none",
};

pub(crate) const TEMPLATE: Variable = Variable {
    name: "WEB_NGINX_CONF",
    default: "/etc/nginx/nginx.conf.template",
    expected: "a file",
    about: "nginx's configuration, with names such as ${API_URL} in it",
};

/// How long nginx may take to be there for the word to end, and to end after it. Its own
/// `worker_shutdown_timeout` is shorter.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

/// The nginx to start.
#[derive(Clone, Debug)]
pub struct Nginx {
    program: String,
    arguments: Vec<String>,
    template: PathBuf,
    log_level: LevelFilter,
}

impl Nginx {
    /// Reads which nginx to start; none where none is named.
    pub(crate) fn configure(environment: &Environment) -> Result<Option<Self>, ConfigError> {
        let command: String = environment.read(&COMMAND)?;
        let mut words = command.split_whitespace().map(str::to_owned);
        let Some(program) = words.next() else {
            return Ok(None);
        };
        Ok(Some(Self {
            program,
            arguments: words.collect(),
            template: environment.read(&TEMPLATE)?,
            log_level: environment.read(&LOG_LEVEL)?,
        }))
    }

    /// Runs nginx until it shall end.
    pub(crate) async fn run(
        self,
        root: PathBuf,
        api: ApiUrl,
        front: Front,
    ) -> Result<(), BoxError> {
        let folder = std::env::temp_dir().join("nginx");
        let file = folder.join("nginx.conf");
        let text = self.configuration(&root, &api, &front)?;
        write(&file, &text).map_err(|error| format!("cannot write {}: {error}", file.display()))?;

        let Front {
            socket, stop, told, ..
        } = front;
        let mut nginx = self.start(&folder, socket)?;
        tokio::select! {
            status = nginx.wait() => {
                return Err(format!("nginx has ended on its own: {}", status?).into());
            }
            () = stop.cancelled() => {}
        }
        self.quit(&folder, &mut nginx).await?;
        told.cancel();
        if tokio::time::timeout(PATIENCE, nginx.wait()).await.is_err() {
            tracing::warn!("time is up, nginx is cut off");
            nginx.kill().await?;
        }
        Ok(())
    }

    fn configuration(&self, root: &Path, api: &ApiUrl, front: &Front) -> Result<String, BoxError> {
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let template = std::fs::read_to_string(&self.template)
            .map_err(|error| format!("cannot read {}: {error}", self.template.display()))?;
        let (errors, requests) = template::log_levels(self.log_level);
        template::fill(
            &template,
            &[
                ("ADDRESS", &front.socket.local_addr()?.to_string()),
                (
                    "API_URL",
                    &format!(
                        "http://{}",
                        template::known_host(api.authority(), &text("/etc/hosts"))
                    ),
                ),
                ("BEHIND", &front.behind.to_string()),
                ("ERROR_LEVEL", errors),
                ("LOGGED_STATUS", requests),
                ("RESOLVERS", &template::resolvers(&text("/etc/resolv.conf"))),
                ("ROOT", &root.display().to_string()),
            ],
        )
        .map_err(|fault| format!("{}: {fault}", self.template.display()).into())
    }

    fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .args(["-e", "stderr", "-p"])
            .arg(folder)
            .arg("-c")
            .arg(folder.join("nginx.conf"));
        command
    }

    /// Starts it with the socket, which is its standard input: nginx takes over what the variable
    /// NGINX names, and so nobody is refused while it starts.
    #[cfg(unix)]
    fn start(&self, folder: &Path, socket: std::net::TcpListener) -> Result<Child, BoxError> {
        let mut command = self.command(folder);
        command
            .env("NGINX", "0;")
            .stdin(std::os::fd::OwnedFd::from(socket))
            // Ctrl-C is for this program alone.
            .process_group(0)
            .kill_on_drop(true);
        let started = command.spawn();
        started.map_err(|error| format!("cannot start {}: {error}", self.program).into())
    }

    #[cfg(not(unix))]
    fn start(&self, _folder: &Path, _socket: std::net::TcpListener) -> Result<Child, BoxError> {
        Err(format!("cannot start {} on this system", self.program).into())
    }

    /// Tells it to end when its requests are answered. Right after its start it can't hear that yet.
    async fn quit(&self, folder: &Path, nginx: &mut Child) -> Result<(), BoxError> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let told = self.command(folder).args(["-s", "quit"]).status().await?;
            if told.success() || nginx.try_wait()?.is_some() {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                return Err(format!("nginx can't be told to end: {told}").into());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn write(file: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, text)
}
