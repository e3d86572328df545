//! One test for each backend.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use chat_testcontainers::{BACKENDS, Backend, Error};
use tokio::net::TcpStream;

/// No test takes longer, but for a start that fetches or builds.
const LONGEST: Duration = Duration::from_secs(120);

/// Makes of `async fn name(backend: Backend)` a test for each backend.
macro_rules! on_every_backend {
    ($($name:ident),+ $(,)?) => {
        mod docker {
            $(#[tokio::test]
            async fn $name() {
                $crate::stamp::run(chat_testcontainers::Backend::Docker, super::$name).await;
            })+
        }
        mod native {
            $(#[tokio::test]
            async fn $name() {
                $crate::stamp::run(chat_testcontainers::Backend::Native, super::$name).await;
            })+
        }
    };
}
pub(crate) use on_every_backend;

/// Runs the test where its backend was asked for or is there; `cargo xtask test` says in the end which were.
pub(crate) async fn run<F: Future<Output = ()>>(backend: Backend, test: impl FnOnce(Backend) -> F) {
    let asked = std::env::var(BACKENDS).is_ok_and(|named| named == backend.to_string());
    let chosen = asked || Backend::from_env().await.unwrap() == backend;
    if chosen || backend.is_available().await {
        bounded(test(backend)).await;
    } else {
        eprintln!("{backend} is not available here and was not asked for");
    }
}

pub(crate) async fn bounded<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONGEST, test)
        .await
        .expect("the test ends in time")
}

/// Until nobody listens there any more.
pub(crate) async fn refused(address: SocketAddr) {
    let gone = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let within = Duration::from_secs(30);
    tokio::time::timeout(within, gone).await.expect("it is gone in the end");
}

/// Until the log has the text so many times: Docker's gets what was said a moment later.
pub(crate) async fn logged(logs: impl AsyncFn() -> Result<String, Error>, text: &str, times: usize) {
    let count = async || logs().await.unwrap().matches(text).count();
    let said = async {
        while count().await < times {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let within = Duration::from_secs(30);
    tokio::time::timeout(within, said)
        .await
        .expect("it is in the log in the end");
    assert_eq!(count().await, times, "{text}");
}
