//! The command line and the configuration, of the program itself.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use chat_server::config::VARIABLES;

use crate::program::Place;

const GOOD: [&str; 2] = [
    "a secret of production, long enough for access",
    "a secret of production, long enough for refresh",
];

fn production(access: &str, refresh: &str) -> Place {
    Place::new()
        .and("NODE_ENV", "production")
        .and("JWT_SECRET", access)
        .and("JWT_REFRESH_SECRET", refresh)
}

#[tokio::test]
async fn all_errors_of_a_configuration_are_told_at_once() {
    let place = Place::new()
        .and("PORT", "seventy")
        .and("RATE_LIMIT_WINDOW_MS", "0")
        .and("CORS_ORIGIN", "chat.example")
        .env_file("JWT_EXPIRES_IN=soon\nLOG_LEVEL=loud\nthis is no line\n");
    for command in ["check-config", "serve"] {
        let said = place.fails(&[command, "--trusted-proxies", "everybody"], 2).await;
        for name in [
            "PORT",
            "RATE_LIMIT_WINDOW_MS",
            "CORS_ORIGIN",
            "JWT_EXPIRES_IN",
            "LOG_LEVEL",
            "TRUSTED_PROXIES",
            ".env",
        ] {
            let about = said
                .lines()
                .filter(|line| line.trim_start().starts_with(&format!("{name} ")));
            assert_eq!(about.count(), 1, "{name}: {said}");
        }
        assert!(said.contains("7 errors") && said.contains("line 3"), "{said}");
    }
    assert!(!place.path("data").exists(), "nothing was started");
}

#[tokio::test]
async fn flags_win_over_the_environment_and_it_over_the_file() {
    let place = Place::new()
        .and("RATE_LIMIT_WINDOW_MS", "2000")
        .and("LOG_LEVEL", "warn")
        .and("CORS_ORIGIN", "")
        .env_file(
            "RATE_LIMIT_WINDOW_MS=1000\nLOG_LEVEL=debug\nJWT_EXPIRES_IN=1h\nCORS_ORIGIN=https://file.example\nPROT=1\n",
        );
    let said = place.said(&["check-config", "--log-level", "error"]).await;
    let line = |name: &str| {
        said.lines()
            .find(|line| line.split_whitespace().next() == Some(name))
            .unwrap()
    };
    for (name, value, origin) in [
        ("LOG_LEVEL", "error", "[flag]"),
        ("RATE_LIMIT_WINDOW_MS", "2000", "[environment]"),
        ("JWT_EXPIRES_IN", "1h", "[.env]"),
        ("JWT_REFRESH_EXPIRES_IN", "7d", "[default]"),
    ] {
        let words: Vec<&str> = line(name).split_whitespace().collect();
        assert_eq!(words, [name, value, origin]);
    }
    assert!(
        line("CORS_ORIGIN").contains(" * "),
        "an empty value means the default: {said}"
    );
    assert!(said.contains("does not know: PROT"), "{said}");
    assert!(VARIABLES.iter().all(|variable| said.contains(variable.name)));
}

#[tokio::test]
async fn secrets_are_never_printed() {
    let place = production(GOOD[0], GOOD[1]).and("METRICS_TOKEN", "a-token-to-be-kept");
    let said = place.said(&["check-config"]).await;
    for secret in [GOOD[0], GOOD[1], "a-token-to-be-kept"] {
        assert!(!said.contains(secret));
    }
    let said = production("short secret", "short secret")
        .fails(&["check-config"], 2)
        .await;
    assert!(!said.contains("short secret"), "{said}");
}

#[tokio::test]
async fn nodes_that_are_joined_need_one_store_and_a_redis_that_is_one() {
    let alone = Place::new().and("REDIS_URL", "redis://:hunter2@localhost:6379");
    let said = alone.fails(&["serve"], 2).await;
    assert!(said.contains("REDIS_URL is set without MONGODB_URI"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    for url in ["http://:hunter2@localhost", "rediss://:hunter2@localhost", "hunter2"] {
        let said = Place::new().and("REDIS_URL", url).fails(&["check-config"], 2).await;
        assert!(said.contains("REDIS_URL") && said.contains("redis://HOST"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[tokio::test]
async fn production_refuses_missing_short_equal_and_sample_secrets() {
    let missing = Place::new().and("NODE_ENV", "production");
    let said = missing.fails(&["serve"], 2).await;
    assert!(
        said.contains("JWT_SECRET is missing") && said.contains("JWT_REFRESH_SECRET is missing"),
        "{said}"
    );
    assert!(!missing.path("data").exists(), "production makes no secrets");

    let example = fs::read_to_string(repository().join(".env.example")).unwrap();
    let sample = |name: &str| {
        let line = example
            .lines()
            .find_map(|line| line.strip_prefix(&format!("# {name}=")));
        line.unwrap().to_owned()
    };
    let cases = [
        ("short", GOOD[1], "JWT_SECRET is shorter"),
        (GOOD[0], &GOOD[1][..31], "JWT_REFRESH_SECRET is shorter"),
        (GOOD[0], GOOD[0], "JWT_REFRESH_SECRET is equal"),
        (&sample("JWT_SECRET"), GOOD[1], "JWT_SECRET is a sample"),
        (GOOD[0], &sample("JWT_REFRESH_SECRET"), "JWT_REFRESH_SECRET is a sample"),
    ];
    for (access, refresh, expected) in cases {
        let said = production(access, refresh).fails(&["serve", "--port", "0"], 2).await;
        assert!(said.contains(expected) && said.contains("1 error:"), "{said}");
    }
    production(GOOD[0], &GOOD[1][..32]).said(&["check-config"]).await;
}

#[tokio::test]
async fn development_makes_secrets_keeps_them_for_itself_and_says_so() {
    let place = Place::new();
    let server = place.serve().await;
    let ann = server.person("ann").await;
    let said = server.stops().await.stderr;
    assert!(said.contains("made secrets for development"), "{said}");
    let file = place.path("data/jwt-secrets");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        fs::metadata(place.path("data")).unwrap().permissions().mode() & 0o077,
        0
    );
    let secrets = fs::read_to_string(&file).unwrap();
    assert!(
        secrets
            .lines()
            .all(|secret| secret.len() >= 32 && !said.contains(secret))
    );

    // The tokens of yesterday are good today.
    let server = place.serve().await;
    let answer = server.visitor().with_token(ann.token()).get("/api/auth/profile").await;
    answer.ok(200);
    let said = server.stops().await.stderr;
    assert!(!said.contains("made secrets"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), secrets);
}

#[tokio::test]
async fn limits_that_are_off_are_told_at_the_start() {
    let server = Place::new().and("SOCKET_RATE_LIMIT_MAX_EVENTS", "0").serve().await;
    let said = server.stops().await.stderr;
    for name in [
        "RATE_LIMIT_MAX_REQUESTS",
        "AUTH_RATE_LIMIT_MAX_REQUESTS",
        "SOCKET_RATE_LIMIT_MAX_EVENTS",
    ] {
        assert!(said.contains(&format!("{name} is 0")), "{said}");
    }
}

#[tokio::test]
async fn the_log_of_production_is_json_and_holds_no_secrets() {
    let place = production(GOOD[0], GOOD[1])
        .and("HOST", "127.0.0.1")
        .and("LOG_DIR", "logs");
    let server = place.serve().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    let quiet = ann.with_header("x-request-id", "request-to-find");
    let body = serde_json::json!({"to": bob.id, "content": "between us two"});
    quiet.post("/api/messages/send", body).await.ok(201);
    ann.get("/api/messages/search?q=between+us").await.ok(200);
    let said = server.stops().await.stderr;
    for line in said.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["timestamp"].is_string() && line["level"].is_string());
    }
    let sent: Vec<&str> = said.lines().filter(|line| line.contains("request-to-find")).collect();
    assert_eq!(sent.len(), 1, "{said}");
    let sent: serde_json::Value = serde_json::from_str(sent[0]).unwrap();
    assert_eq!(
        (&sent["operation"], &sent["status"]),
        (&"sendMessage".into(), &201.into())
    );
    let secret = [
        "between us",
        ann.token(),
        &ann.refresh_token,
        &ann.password,
        GOOD[0],
        GOOD[1],
        "@example.com",
    ];
    let files: Vec<_> = fs::read_dir(place.path("logs"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    assert_eq!(files.len(), 1);
    let kept = fs::read_to_string(&files[0]).unwrap();
    assert!(kept.contains("request-to-find"));
    for secret in secret {
        assert!(!said.contains(secret) && !kept.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn an_address_in_use_is_told_with_what_to_do() {
    let place = Place::new();
    let server = place.serve().await;
    let port = server.url.rsplit(':').next().unwrap().to_owned();
    let said = Place::new().fails(&["serve", "--port", &port], 1).await;
    assert!(
        said.contains(&format!("127.0.0.1:{port}")) && said.contains("PORT"),
        "{said}"
    );
    server.stops().await;
}

#[tokio::test]
async fn wrong_usage_is_told_with_exit_code_two() {
    let place = Place::new();
    for args in [
        &["--prot", "1"][..],
        &["fly"],
        &["user"],
        &["user", "deactivate"],
        &["completions", "dos"],
    ] {
        let said = place.fails(args, 2).await;
        assert!(
            said.starts_with("error: ") && said.contains("try '--help'"),
            "{args:?} {said}"
        );
    }
}

#[tokio::test]
async fn help_teaches_every_setting() {
    let place = Place::new();
    let said = place.said(&["--help"]).await;
    for variable in VARIABLES {
        assert!(said.contains(&format!("--{} ", variable.flag())), "{}", variable.name);
        assert!(said.contains(variable.help), "{}", variable.name);
    }
    for command in ["serve", "check-config", "user", "openapi", "asyncapi", "completions"] {
        assert!(
            said.lines().any(|line| line.trim_start().starts_with(command)),
            "{command}"
        );
    }
    assert!(place.said(&["--version"]).await.starts_with("chat-server "));
}

#[tokio::test]
async fn completions_are_made_for_every_shell() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = place.said(&["completions", shell]).await;
        assert!(
            script.contains("check-config") && script.contains("rate-limit-window-ms"),
            "{shell}"
        );
    }
}

#[tokio::test]
async fn the_documents_of_the_contract_are_printed() {
    let place = Place::new();
    for (command, begins) in [("openapi", "openapi: 3.1"), ("asyncapi", "asyncapi: 3.")] {
        let yaml = place.said(&[command]).await;
        assert!(
            yaml.lines()
                .any(|line| line.replace(['"', '\''], "").starts_with(begins)),
            "{command}"
        );
        let json: serde_json::Value = serde_json::from_str(&place.said(&[command, "--json"]).await).unwrap();
        assert!(json[command].is_string());
    }
}

/// Mended by: `cargo run -p chat-server -- check-config --example > .env.example`
#[tokio::test]
async fn the_example_of_the_repository_is_up_to_date_and_good() {
    let kept = fs::read_to_string(repository().join(".env.example")).unwrap();
    assert_eq!(
        Place::new().said(&["check-config", "--example"]).await,
        kept,
        ".env.example is stale"
    );
    let said = Place::new().env_file(&kept).said(&["check-config"]).await;
    assert!(said.contains("[.env]") && !said.contains("does not know"), "{said}");
    // The samples in comments are good values, too.
    let all: Vec<&str> = kept
        .lines()
        .map(|line| {
            line.strip_prefix("# ")
                .filter(|rest| rest.contains('='))
                .unwrap_or(line)
        })
        .collect();
    let names = |text: &str| {
        text.lines()
            .filter(|line| VARIABLES.iter().any(|v| line.starts_with(&format!("{}=", v.name))))
            .count()
    };
    assert_eq!(names(&all.join("\n")), VARIABLES.len());
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
