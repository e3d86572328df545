//! MongoDB: one `mongod` that is a replica set of its own.

use std::net::SocketAddr;
use std::path::Path;

use bson::{Document, doc};

use crate::backend::Backend;
use crate::error::Error;
use crate::instance::{Instance, Life, Service, connect};
use crate::op_msg::command;
use crate::sharing;

const SET: &str = "rs0";

/// A MongoDB 6.0.5 as a replica set of one member, so that majority writes, transactions and change streams work.
///
/// It is ready when it is the primary and has acknowledged a majority write. One that [was started](Mongo::start) is the
/// test's own and is removed with its data when this is dropped, or when the test process ends in whatever way. A
/// [shared](Mongo::shared) one belongs to the whole run: take a [database of your own](Mongo::database_uri) in it.
///
/// ```no_run
/// # async fn example() -> Result<(), chat_testcontainers::Error> {
/// use chat_testcontainers::{Mongo, unique_name};
///
/// let mongo = Mongo::shared().await?;
/// let uri = mongo.database_uri(&unique_name("orders"));
/// // … the part under test, with this URI …
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Mongo {
    instance: Instance,
}

struct Mongod;

impl Mongo {
    /// The instance that all tests of this run share, on the backend of `CHAT_TEST_BACKENDS`.
    ///
    /// The first test to ask starts it; nobody may pause, kill or stop it. It is gone when the runner, that is, `cargo test`
    /// or `cargo nextest`, is gone, however it ended. Where no such runner is found, it is shared within this process alone.
    ///
    /// # Errors
    ///
    /// As [`Mongo::start`]; and [`ErrorKind::Late`](crate::ErrorKind::Late) when another process has been starting it for
    /// minutes.
    pub async fn shared() -> Result<Self, Error> {
        let instance = sharing::attach::<Mongod>().await?;
        Ok(Self { instance })
    }

    /// A new instance for this test alone, on the backend of `CHAT_TEST_BACKENDS`.
    ///
    /// # Errors
    ///
    /// Those of [`Backend::from_env`] and [`Mongo::start_on`].
    pub async fn start() -> Result<Self, Error> {
        Self::start_on(Backend::from_env().await?).await
    }

    /// A new instance for this test alone, on a backend of its choice.
    ///
    /// # Errors
    ///
    /// [`NoBackend`](crate::ErrorKind::NoBackend) when there is no `mongod` to run and none can be fetched,
    /// [`Docker`](crate::ErrorKind::Docker) when the daemon refuses, [`Ended`](crate::ErrorKind::Ended) when it does not
    /// stay up, [`Late`](crate::ErrorKind::Late) when it is not ready within 60 s.
    pub async fn start_on(backend: Backend) -> Result<Self, Error> {
        let instance = Instance::start::<Mongod>(backend, Life::Owned).await?;
        Ok(Self { instance })
    }

    /// As [`Mongo::start_on`], with its data on a disk: for measuring what durable writes cost. Natively others have them in
    /// memory where there is room, and in Docker they are always on a disk. The directory is among the temporary files. Its cache
    /// may take what MongoDB takes by default, half of the memory above 1 GiB, and its oplog 1 GiB, where others have 256 MiB and
    /// 64 MiB; it keeps no history of documents for reads of the past, and writes pages out by no more threads than half of the
    /// processors.
    ///
    /// # Errors
    ///
    /// As [`Mongo::start_on`].
    pub async fn start_on_disk(backend: Backend) -> Result<Self, Error> {
        let instance = Instance::start::<Mongod>(backend, Life::OnDisk).await?;
        Ok(Self { instance })
    }

    /// As [`Mongo::start`], with MongoDB's own fail points: `configureFailPoint` stops it in the middle of something until the test
    /// lets it go on, and `waitForFailPoint` tells when it is there.
    ///
    /// # Errors
    ///
    /// As [`Mongo::start`].
    pub async fn start_with_fail_points() -> Result<Self, Error> {
        let instance = Instance::start::<Mongod>(Backend::from_env().await?, Life::FailPoints).await?;
        Ok(Self { instance })
    }

    /// A URI to connect with, without a database: `mongodb://127.0.0.1:PORT/?directConnection=true`.
    #[must_use]
    pub fn uri(&self) -> String {
        self.database_uri("")
    }

    /// A URI that names a database: `mongodb://127.0.0.1:PORT/NAME?directConnection=true`.
    ///
    /// A database comes to be when something is written. Give each test one of its own and leave it there: dropping one
    /// costs more time than the rest of many a test.
    #[must_use]
    pub fn database_uri(&self, name: &str) -> String {
        format!("mongodb://{}/{name}?directConnection=true", self.address())
    }

    /// A URI that reaches it through something in front, such as a [`Proxy`](crate::Proxy).
    ///
    /// The direct connection is what keeps a driver from going around it, to the address that the replica set names.
    #[must_use]
    pub fn database_uri_through(&self, front: SocketAddr, name: &str) -> String {
        format!("mongodb://{front}/{name}?directConnection=true")
    }

    /// Where it listens. It stays the same over [`Mongo::restart`].
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.instance.address()
    }

    /// Where it runs.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.instance.backend()
    }

    /// The id of its process, while it runs: to measure what it costs. Of a container there is none.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.instance.process_id()
    }
}

impl Service for Mongod {
    const PROGRAM: &'static str = "mongod";
    const IMAGE: &'static str = "mongo:6.0.5";
    const DATA: &'static str = "/data/db";

    /// Options that make a throw-away server start quickly and stay small; one that is measured has room as in production.
    fn arguments(port: u16, life: Life) -> Vec<String> {
        let port = port.to_string();
        let eviction = eviction();
        // What is measured has the cache that MongoDB takes by default, and no history, as in deploy/.
        let (oplog_mib, memory): (_, &[&str]) = match life {
            Life::OnDisk => (
                "1024",
                &[
                    "--setParameter",
                    "minSnapshotHistoryWindowInSeconds=0",
                    "--wiredTigerEngineConfigString",
                    &eviction,
                ],
            ),
            Life::Owned | Life::FailPoints | Life::Shared => ("64", &["--wiredTigerCacheSizeGB", "0.25"]),
        };
        let options = ["--port", &port, "--replSet", SET, "--oplogSize", oplog_mib];
        let parameters = [
            "--nounixsocket",
            "--setParameter",
            "diagnosticDataCollectionEnabled=false",
            "--setParameter",
            "ttlMonitorSleepSecs=1",
        ];
        let fail_points: &[&str] = match life {
            Life::FailPoints => &["--setParameter", "enableTestCommands=1"],
            Life::Owned | Life::OnDisk | Life::Shared => &[],
        };
        let all = options.into_iter().chain(memory.iter().copied()).chain(parameters);
        let all = all.chain(fail_points.iter().copied());
        all.map(Into::into).collect()
    }

    fn native_arguments(data: &Path) -> Vec<String> {
        let data = data.to_string_lossy();
        ["--bind_ip", "127.0.0.1", "--dbpath", &data].map(Into::into).into()
    }

    async fn ready(address: SocketAddr) -> Result<(), String> {
        let mut stream = connect(address).await?;
        let hello = command(&mut stream, doc! { "hello": 1, "$db": "admin" }).await?;
        if !hello.contains_key("setName") {
            let member = doc! { "_id": 0, "host": format!("127.0.0.1:{}", address.port()) };
            let set = doc! { "_id": SET, "members": [member] };
            let answer = command(&mut stream, doc! { "replSetInitiate": set, "$db": "admin" }).await?;
            // Already initialized is as good.
            if !succeeded(&answer) && !answer.get_i32("code").is_ok_and(|code| code == 23) {
                return Err(format!("the replica set cannot be initiated: {answer}"));
            }
        }
        if !hello.get_bool("isWritablePrimary").unwrap_or(false) {
            return Err(format!("it is not the primary yet: {hello}"));
        }
        // A majority write that leaves no database behind.
        let write = doc! {
            "appendOplogNote": 1,
            "data": { "ready": 1 },
            "writeConcern": { "w": "majority", "wtimeout": 4000 },
            "$db": "admin",
        };
        let written = command(&mut stream, write).await?;
        if succeeded(&written) && !written.contains_key("writeConcernError") {
            Ok(())
        } else {
            Err(format!("a majority write fails: {written}"))
        }
    }
}

/// WiredTiger writes pages out by four threads, however few processors there are, and meanwhile nobody else gets any: half of them
/// are enough.
fn eviction() -> String {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (processors / 2).clamp(1, 4);
    format!("eviction=(threads_min={threads},threads_max={threads})")
}

fn succeeded(answer: &Document) -> bool {
    answer.get_f64("ok").is_ok_and(|ok| ok == 1.0)
}

crate::faults::faults!(Mongo, Mongod, "a restart recovers from its journal");
