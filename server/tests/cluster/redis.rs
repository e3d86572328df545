//! A Redis of one test's own: it is killed and paused.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) struct Redis {
    address: SocketAddr,
    child: Child,
    dir: TempDir,
}

impl Redis {
    /// `CHAT_TEST_REDIS_SERVER` names the program; else it is looked for where programs are.
    pub(crate) async fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let dir = TempDir::new().unwrap();
        let redis = Self {
            child: spawn(port, &dir),
            address: port,
            dir,
        };
        redis.answers().await;
        redis
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// On the same port. Returns when it answers.
    pub(crate) async fn restart(&mut self) {
        self.child = spawn(self.address, &self.dir);
        self.answers().await;
    }

    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    pub(crate) fn unpause(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(sent.success());
    }

    async fn answers(&self) {
        let began = Instant::now();
        while !self.ping().await {
            assert!(began.elapsed() < Duration::from_secs(10), "Redis never answered");
        }
    }

    async fn ping(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.address).await else {
            // Refused at once: let others run before the next try.
            tokio::task::yield_now().await;
            return false;
        };
        let mut answer = [0; 5];
        stream.write_all(b"PING\r\n").await.is_ok()
            && stream.read_exact(&mut answer).await.is_ok()
            && answer == *b"+PONG"
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(address: SocketAddr, dir: &TempDir) -> Child {
    let program = std::env::var("CHAT_TEST_REDIS_SERVER").unwrap_or_else(|_| "redis-server".into());
    let port = address.port().to_string();
    Command::new(&program)
        .args([
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
        ])
        .arg(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}; set CHAT_TEST_REDIS_SERVER"))
}
