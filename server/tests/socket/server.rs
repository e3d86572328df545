//! The server in this process, on a port of its own.

use std::net::SocketAddr;
use std::time::Duration;

use chat_server::app::App;
use chat_server::config::Config;
use chat_server::serve::{Listeners, serve};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};

use crate::config;
use crate::device::Device;
use crate::person::Person;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) app: App,
    clock: Option<mpsc::UnboundedSender<Step>>,
    _stop: oneshot::Sender<()>,
    _dir: TempDir,
}

/// So far the clock is to be moved; answered when everything that was due has run.
type Step = (Duration, oneshot::Sender<()>);

impl Server {
    /// Without limits.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = TempDir::new().unwrap();
        let mut config = config::of_tests(dir.path());
        change(&mut config);
        let (app, listeners) = build(config).await;
        let address = listeners.address().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(serve(app.clone(), listeners, async {
            let _ = stopped.await;
        }));
        Self {
            address,
            app,
            clock: None,
            _stop: stop,
            _dir: dir,
        }
    }

    /// A server whose timers stand still until [`Self::pass`]. It has a runtime of its own, for the clock belongs to a runtime;
    /// a blocking task that waits for the end keeps the runtime from moving the clock whenever it is idle.
    pub(crate) async fn with_clock(change: impl FnOnce(&mut Config)) -> Self {
        let dir = TempDir::new().unwrap();
        let mut config = config::of_tests(dir.path());
        change(&mut config);
        let (started, starting) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let (clock, mut steps) = mpsc::unbounded_channel::<Step>();
        std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().start_paused(true).build().unwrap();
            let (hold, held) = std::sync::mpsc::channel::<()>();
            runtime.block_on(async move {
                tokio::task::spawn_blocking(move || held.recv());
                let (app, listeners) = build(config).await;
                let _ = started.send((app.clone(), listeners.address().unwrap()));
                tokio::spawn(async move {
                    while let Some((by, done)) = steps.recv().await {
                        settle().await;
                        tokio::time::advance(by).await;
                        settle().await;
                        let _ = done.send(());
                    }
                });
                // The test is over when its end of the channel is gone; nothing is left to be drained then.
                tokio::select! {
                    () = serve(app, listeners, std::future::pending()) => {}
                    _ = stopped => {}
                }
                drop(hold);
            });
        });
        let (app, address) = starting.await.unwrap();
        Self {
            address,
            app,
            clock: Some(clock),
            _stop: stop,
            _dir: dir,
        }
    }

    /// Moves the clock of the server.
    pub(crate) async fn pass(&self, time: Duration) {
        let (done, moved) = oneshot::channel();
        self.clock.as_ref().unwrap().send((time, done)).unwrap();
        moved.await.unwrap();
    }

    /// Returns when so many sockets are left. Every look is preceded by a whole request, so that the server gets its turn.
    pub(crate) async fn has_sockets(&self, number: i64) {
        let http = reqwest::Client::new();
        let patience = async {
            loop {
                let health = format!("http://{}/health", self.address);
                http.get(health).send().await.unwrap().bytes().await.unwrap();
                if self.app.metrics.sockets.get() == number {
                    return;
                }
            }
        };
        let timely = tokio::time::timeout(crate::wire::PATIENCE, patience).await;
        timely.unwrap_or_else(|_| panic!("never were there {number} sockets"));
    }

    pub(crate) async fn person(&self, name: &str) -> Person {
        Person::register(self.address, name).await
    }

    /// A socket that has not said who it is.
    pub(crate) async fn guest(&self) -> Device {
        Device::connect(self.address, None).await.unwrap()
    }

    /// A socket whose handshake carries `auth`; `Err` is the answer that refused it.
    pub(crate) async fn knock(&self, auth: Value) -> Result<Device, Value> {
        Device::connect(self.address, Some(auth)).await
    }
}

/// Lets every task run that is ready now, and those that they wake.
async fn settle() {
    for _ in 0..256 {
        tokio::task::yield_now().await;
    }
}

async fn build(config: Config) -> (App, Listeners) {
    let app = App::build(config).await.unwrap();
    let listeners = Listeners::bind(&app.config).await.unwrap();
    (app, listeners)
}
