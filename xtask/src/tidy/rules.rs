//! The rules of the house as data. ARCHITECTURE.md says why; change both together.

/// A member of the workspace and those members it may depend on.
pub struct Package {
    pub name: &'static str,
    pub uses: &'static [&'static str],
    /// In its tests, benches and examples, beside `uses`.
    pub in_tests: &'static [&'static str],
}

/// A module of the server and those modules it may name.
pub struct Module {
    pub name: &'static str,
    pub uses: &'static [&'static str],
}

/// A package that only some files may name.
pub struct Kept {
    /// As it is written in code.
    pub package: &'static str,
    /// Files that begin with one of these may name it; others in a `src/` may not.
    pub within: &'static [&'static str],
}

/// A breach that is known and to be mended. One that is gone is an error, so that the entry goes too.
pub struct Tolerated {
    pub file: &'static str,
    pub module: &'static str,
    pub why: &'static str,
}

pub const PACKAGES: &[Package] = &[
    package("chat-spec", &[], &[]),
    package("chat-protocol", &[], &[]),
    package("chat-testcontainers", &[], &[]),
    package("xtask", &[], &[]),
    package("chat-server", &["chat-protocol", "chat-spec"], &["chat-testcontainers"]),
    package(
        "chat-client",
        // The server for its test kit alone, which is a feature; itself to have that feature in its own tests.
        &["chat-protocol", "chat-server"],
        &["chat-client", "chat-testcontainers"],
    ),
    // Never chat-protocol nor chat-client: a wrong field name on both sides would pass.
    package(
        "chat-conformance",
        &["chat-spec", "chat-testcontainers", "chat-server"],
        &[],
    ),
    package(
        "chat-loadtest",
        &["chat-protocol", "chat-client", "chat-server", "chat-testcontainers"],
        &[],
    ),
];

/// From the ground up: a module names only modules above it in this list.
pub const MODULES: &[Module] = &[
    // A macro; what it switches is named by the command line alone.
    module("fault", &[]),
    module("id", &[]),
    module("metrics", &[]),
    module("config", &[]),
    module("telemetry", &["config"]),
    module("peer", &[]),
    // The store's own suite makes ids.
    module("store", &["metrics", "id"]),
    module("error", &["store"]),
    module("auth", &["config", "error", "store"]),
    // Names the sessions whose devices it closes; never reads the store.
    module("cluster", &["config", "metrics", "store"]),
    module("chat", &["auth", "cluster", "error", "id", "store"]),
    module(
        "app",
        &["auth", "chat", "cluster", "config", "error", "metrics", "store"],
    ),
    module(
        "http",
        &["app", "chat", "cluster", "config", "error", "metrics", "peer"],
    ),
    module(
        "socket",
        &["app", "chat", "cluster", "config", "error", "metrics", "peer"],
    ),
    module("router", &["app", "config", "error", "http", "socket"]),
    module("serve", &["app", "config", "router"]),
    // `chat-server user` works on the store, beside a running server.
    module(
        "cli",
        &["app", "config", "fault", "metrics", "serve", "store", "telemetry"],
    ),
];

/// What `lib.rs` hands on, and whose it is.
pub const ROOT_ITEMS: &[(&str, &str)] = &[("Error", "error"), ("Result", "error")];

pub const KEPT: &[Kept] = &[
    kept(
        "axum",
        &[
            "server/src/error.rs",
            "server/src/http/",
            // What the listener says of a connection.
            "server/src/peer.rs",
            "server/src/router.rs",
            "server/src/serve.rs",
            // For its URI type alone.
            "server/src/config/parse.rs",
        ],
    ),
    kept("tower_http", &["server/src/router.rs"]),
    kept("socketioxide", &["server/src/socket/"]),
    kept("redis", &["server/src/cluster/redis/"]),
    kept("rusqlite", &["server/src/store/sqlite/"]),
    kept("mongodb", &["server/src/store/mongo/"]),
    kept("bcrypt", &["server/src/auth/"]),
    kept("argon2", &["server/src/auth/"]),
    // The suite forges tokens with it.
    kept("jsonwebtoken", &["server/src/auth/", "conformance/src/cases/tokens.rs"]),
    // The conformance suite and the load tests know the server only as a process to start.
    // The SDK has it in its test kit alone.
    kept(
        "chat_server",
        &[
            "server/src/main.rs",
            "conformance/src/cli/",
            "client-sdk/src/testing/",
            "loadtest/src/cli/mod.rs",
        ],
    ),
    kept("goose", &["loadtest/src/attack/"]),
];

pub const TOLERATED: &[Tolerated] = &[];

/// Names that say nothing about what is inside.
pub const BANNED_NAMES: &[&str] = &[
    "util", "utils", "common", "helper", "helpers", "core", "prelude", "misc", "shared",
];

/// Lines of a Rust file: more than `LONG` are listed, more than `LONGEST` are an error.
pub const LONG: usize = 400;
pub const LONGEST: usize = 800;

/// Folders of which the picture leaves out no folder and no Rust file; the root leaves out no folder.
pub const DRAWN_WHOLE: &[&str] = &["server/src"];

const fn package(name: &'static str, uses: &'static [&'static str], in_tests: &'static [&'static str]) -> Package {
    Package { name, uses, in_tests }
}

const fn module(name: &'static str, uses: &'static [&'static str]) -> Module {
    Module { name, uses }
}

const fn kept(package: &'static str, within: &'static [&'static str]) -> Kept {
    Kept { package, within }
}
