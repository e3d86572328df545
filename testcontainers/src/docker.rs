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
    StopContainerOptionsBuilder,
};
use testcontainers::bollard::{self, Docker};
use testcontainers::core::client::docker_client_instance;
use testcontainers::core::{IntoContainerPort as _, Mount};
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{GenericImage, ImageExt as _};

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
    pub(crate) image: (&'a str, &'a str),
    pub(crate) command: Vec<String>,
    /// The same inside and outside.
    pub(crate) port: u16,
    /// A directory to keep in memory. It is lost when the container stops.
    pub(crate) in_memory: Option<&'a str>,
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
        let (image, tag) = request.image;
        let name = unique_name(&format!(
            "chat-testcontainers-{}",
            image.rsplit('/').next().unwrap_or(image)
        ));
        let host = host().await?;
        // Before there is anything to remove: so there is no moment at which it could be left behind.
        let reaper = Reaper::start(Target::Container(&name), &[])?;
        let port = request.port;
        let mut wanted = GenericImage::new(image, tag)
            .with_exposed_port(port.tcp())
            .with_cmd(request.command)
            .with_container_name(&name)
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
                config.port_bindings = Some([(format!("{port}/tcp"), Some(vec![binding]))].into());
            });
        if let Some(directory) = request.in_memory {
            wanted = wanted.with_mount(Mount::tmpfs_mount(directory));
        }
        let made = tokio::time::timeout(MADE_WITHIN, wanted.start()).await;
        let container = made
            .map_err(|_| Error::new(ErrorKind::Docker, format!("{image}:{tag} took too long to be had")))?
            .map_err(|error| {
                let message = format!("no container of {image}:{tag} (without a registry: images/build.sh makes it)");
                Error::caused(ErrorKind::Docker, message, error)
            })?;
        // The reaper removes it, on every way out. This handle would do so a second time, and blocking.
        std::mem::forget(container);
        Ok(Self {
            name,
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
        let daemon = daemon().await?;
        let signal = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
        bounded(daemon.kill_container(&self.name, Some(signal))).await?;
        // The daemon answers when the signal is sent; what it was sent to may still hold the port.
        let gone = async {
            while self.state().await?.running.unwrap_or(false) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        };
        tokio::time::timeout(DONE_WITHIN, gone)
            .await
            .unwrap_or_else(|_| Err(silent()))
    }

    /// SIGTERM, and SIGKILL when it has not ended within some seconds.
    pub(crate) async fn stop(&self, seconds: i32) -> Result<(), Error> {
        let patience = StopContainerOptionsBuilder::default().t(seconds).build();
        bounded(daemon().await?.stop_container(&self.name, Some(patience))).await
    }

    pub(crate) async fn state(&self) -> Result<ContainerState, Error> {
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
