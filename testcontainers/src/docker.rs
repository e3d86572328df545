//! A container, made through the `testcontainers` crate.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use testcontainers::bollard::models::{ContainerState, PortBinding};
use testcontainers::bollard::query_parameters::{
    InspectContainerOptions, KillContainerOptionsBuilder, LogsOptionsBuilder, StartContainerOptions,
};
use testcontainers::bollard::{self, Docker};
use testcontainers::core::client::docker_client_instance;
use testcontainers::core::{IntoContainerPort as _, Mount};
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{GenericImage, ImageExt as _};

use crate::backend::is_in_path;
use crate::error::{Error, ErrorKind};
use crate::reaper::{self, Reaper, Target};
use crate::scratch::unique_name;

const ANSWERS_WITHIN: Duration = Duration::from_secs(3);
/// How long one command to the daemon may take.
const DONE_WITHIN: Duration = Duration::from_secs(30);
/// How long making a container may take, the download of its image included.
const MADE_WITHIN: Duration = Duration::from_secs(600);

/// Whether a daemon answers.
pub(crate) async fn answers() -> bool {
    let ping = async { docker_client_instance().await.ok()?.ping().await.ok() };
    tokio::time::timeout(ANSWERS_WITHIN, ping)
        .await
        .ok()
        .flatten()
        .is_some()
}

/// What to run.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// `name:tag`; without a tag it is the latest.
    pub(crate) image: &'a str,
    pub(crate) command: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// The same inside and outside.
    pub(crate) port: u16,
    pub(crate) network: Network,
    /// A directory to keep in memory. It is lost when the container stops.
    pub(crate) in_memory: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    /// One of its own, of which the port is reached from here.
    Own,
    /// That of the machine: it finds other parts where a process would.
    Host,
}

/// A container, removed when this is dropped or this process ends.
#[derive(Debug)]
pub(crate) struct Container {
    name: String,
    pub(crate) address: SocketAddr,
    reaper: Mutex<Reaper>,
}

impl Container {
    /// Makes and starts it; what runs inside may not be ready yet.
    pub(crate) async fn start(request: Request<'_>) -> Result<Self, Error> {
        let Request {
            image, port, network, ..
        } = request;
        if !["docker", "curl"].into_iter().any(is_in_path) {
            let message = "neither docker nor curl is in PATH: nothing could remove a container after a killed test";
            return Err(Error::new(ErrorKind::NoBackend, message));
        }
        let (name, tag) = split(image);
        let host = host().await?;
        let prefix = format!("chat-testcontainers-{}", name.rsplit('/').next().unwrap_or(name));
        let container_name = unique_name(&prefix);
        // Before there is anything to remove: so there is no moment at which it could be left behind.
        let reaper = Reaper::start(Target::Container(&container_name), &[])?;
        let mut wanted = GenericImage::new(name, tag)
            .with_exposed_port(port.tcp())
            .with_cmd(request.command)
            .with_container_name(&container_name)
            .with_host_config_modifier(move |config| {
                let binding = PortBinding {
                    host_ip: Some(if host.is_loopback() {
                        host.to_string()
                    } else {
                        String::new()
                    }),
                    host_port: Some(port.to_string()),
                };
                config.publish_all_ports = Some(false);
                match network {
                    Network::Own => config.port_bindings = Some([(format!("{port}/tcp"), Some(vec![binding]))].into()),
                    Network::Host => config.network_mode = Some("host".into()),
                }
            });
        for (variable, value) in request.environment {
            wanted = wanted.with_env_var(variable, value);
        }
        if let Some(directory) = request.in_memory {
            wanted = wanted.with_mount(Mount::tmpfs_mount(directory));
        }
        let made = tokio::time::timeout(MADE_WITHIN, wanted.start()).await;
        let container = made
            .map_err(|_| Error::new(ErrorKind::Docker, format!("{image} took too long to be had")))?
            .map_err(|error| {
                let hint = match ["mongo", "redis"].contains(&name) {
                    true => " (without a registry, images/build.sh makes mongo and redis)",
                    false => "",
                };
                Error::caused(ErrorKind::Docker, format!("no container of {image}{hint}"), error)
            })?;
        // The reaper removes it, on every way out. This handle would do so a second time, and blocking.
        std::mem::forget(container);
        Ok(Self {
            name: container_name,
            address: SocketAddr::new(host, port),
            reaper: Mutex::new(reaper),
        })
    }

    /// Starts what has ended, with the same port and data.
    pub(crate) async fn start_again(&self) -> Result<(), Error> {
        let daemon = daemon().await?;
        bounded(daemon.start_container(&self.name, None::<StartContainerOptions>)).await
    }

    pub(crate) async fn pause(&self) -> Result<(), Error> {
        bounded(daemon().await?.pause_container(&self.name)).await
    }

    pub(crate) async fn unpause(&self) -> Result<(), Error> {
        bounded(daemon().await?.unpause_container(&self.name)).await
    }

    /// SIGKILL; returns when it is gone.
    pub(crate) async fn kill(&self) -> Result<(), Error> {
        self.signal("SIGKILL").await?;
        self.end(DONE_WITHIN).await.map(drop)
    }

    /// SIGTERM; returns its exit code.
    pub(crate) async fn terminate(&self, within: Duration) -> Result<i64, Error> {
        if self.state().await?.paused.unwrap_or(false) {
            self.unpause().await?;
        }
        self.signal("SIGTERM").await?;
        self.end(within).await
    }

    /// Itself, when it runs.
    pub(crate) async fn runs(&self) -> Result<&Self, Error> {
        match self.exit_code().await? {
            None => Ok(self),
            Some(_) => Err(Error::new(ErrorKind::NotRunning, "it does not run now")),
        }
    }

    /// When it has ended.
    pub(crate) async fn exit_code(&self) -> Result<Option<i64>, Error> {
        let state = self.state().await?;
        let code = state.exit_code.unwrap_or(-1);
        Ok((!state.running.unwrap_or(false)).then_some(code))
    }

    async fn signal(&self, signal: &str) -> Result<(), Error> {
        let signal = KillContainerOptionsBuilder::default().signal(signal).build();
        bounded(daemon().await?.kill_container(&self.name, Some(signal))).await
    }

    /// The daemon answers when a signal is sent; what it was sent to may still hold the port.
    async fn end(&self, within: Duration) -> Result<i64, Error> {
        let gone = async {
            loop {
                if let Some(code) = self.exit_code().await? {
                    return Ok(code);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let late = || {
            let message = format!("the container did not end within {} s", within.as_secs());
            Err(Error::new(ErrorKind::Late, message))
        };
        tokio::time::timeout(within, gone).await.unwrap_or_else(|_| late())
    }

    async fn state(&self) -> Result<ContainerState, Error> {
        let daemon = daemon().await?;
        let found = bounded(daemon.inspect_container(&self.name, None::<InspectContainerOptions>)).await?;
        Ok(found.state.unwrap_or_default())
    }

    pub(crate) async fn logs(&self) -> Result<String, Error> {
        logs(&self.name).await
    }

    /// Lets it run on until another process, the runner of the tests, is gone; then it and `beside` are removed.
    pub(crate) fn hand_over(self, runner: u32, beside: &Path) -> Result<String, Error> {
        reaper::watch(runner, Target::Container(&self.name), &[beside])?;
        self.reaper
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .stand_down()?;
        Ok(self.name)
    }
}

/// `name:tag`, where the name may have a registry with a port.
fn split(image: &str) -> (&str, &str) {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    }
}

/// All that a container wrote to its outputs.
pub(crate) async fn logs(name: &str) -> Result<String, Error> {
    let daemon = daemon().await?;
    let both = LogsOptionsBuilder::default().stdout(true).stderr(true).build();
    let mut chunks = std::pin::pin!(daemon.logs(name, Some(both)));
    bounded(async {
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.next().await {
            bytes.extend_from_slice(&chunk?.into_bytes());
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    })
    .await
}

/// A client, asked for anew each time: one that was kept would belong to the runtime of the test that made it.
async fn daemon() -> Result<Docker, Error> {
    docker_client_instance()
        .await
        .map_err(|error| Error::caused(ErrorKind::Docker, "there is no way to a Docker daemon", error))
}

async fn bounded<T>(command: impl Future<Output = Result<T, bollard::errors::Error>>) -> Result<T, Error> {
    match tokio::time::timeout(DONE_WITHIN, command).await {
        Ok(done) => done.map_err(|error| Error::caused(ErrorKind::Docker, "the Docker daemon refused", error)),
        Err(_) => Err(silent()),
    }
}

fn silent() -> Error {
    Error::new(ErrorKind::Docker, "the Docker daemon did not do it in time")
}

/// Where the ports of containers are: this machine, unless the daemon is reached over the network.
async fn host() -> Result<IpAddr, Error> {
    let daemon = std::env::var("DOCKER_HOST").unwrap_or_default();
    let Some((_, remote)) = daemon.split_once("://").filter(|(scheme, _)| *scheme != "unix") else {
        return Ok(Ipv4Addr::LOCALHOST.into());
    };
    let unknown = || {
        Error::new(
            ErrorKind::Docker,
            format!("DOCKER_HOST={daemon} names no host that is known"),
        )
    };
    let authority = remote.trim_end_matches('/').to_owned();
    let mut found = tokio::net::lookup_host(authority).await.map_err(|_| unknown())?;
    found.next().map(|address| address.ip()).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_a_name_and_a_tag() {
        assert_eq!(split("mongo:6.0.5"), ("mongo", "6.0.5"));
        assert_eq!(
            split("localhost:5000/team/chat"),
            ("localhost:5000/team/chat", "latest")
        );
        assert_eq!(split("localhost:5000/team/chat:2"), ("localhost:5000/team/chat", "2"));
    }
}
