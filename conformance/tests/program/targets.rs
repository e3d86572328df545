//! Servers of somebody else: their limits, and the commands that kill and start them.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{code, must_end, program, report};

const THIS: &str = env!("CARGO_BIN_EXE_chat-conformance");

/// A server that runs outside of the suite, as a service does.
pub(super) struct Service {
    dir: TempDir,
    base: String,
    /// Keeps the port while the server is dead, and does not listen.
    _port: tokio::net::TcpSocket,
}

impl Service {
    fn new() -> Self {
        let port = tokio::net::TcpSocket::new_v4().unwrap();
        port.set_reuseaddr(true).unwrap();
        port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let number = port.local_addr().unwrap().port();
        let dir = TempDir::new().unwrap();
        let at = dir.path().display();
        let start = format!(
            "cd {at}\n\
             export RATE_LIMIT_MAX_REQUESTS=0 AUTH_RATE_LIMIT_MAX_REQUESTS=0 SOCKET_RATE_LIMIT_MAX_EVENTS=0 NODE_ENV=test\n\
             {THIS} __serve --env-file /nonexistent --host 127.0.0.1 --port {number} --data-dir {at}/data >>{at}/log 2>&1 &\n\
             echo $! >{at}/pid\n"
        );
        std::fs::write(dir.path().join("start.sh"), start).unwrap();
        // Gone only when nobody has the port any more; who waits for his parent is.
        let kill = format!(
            "pid=$(cat {at}/pid)\n\
             kill -KILL $pid\n\
             for _ in $(seq 500); do\n\
             grep -q '^State:[[:space:]]*[^Z]' /proc/$pid/status 2>/dev/null || break\n\
             sleep 0.02\n\
             done\n\
             echo killed >>{at}/log\n"
        );
        std::fs::write(dir.path().join("kill.sh"), kill).unwrap();
        Self {
            dir,
            base: format!("http://127.0.0.1:{number}"),
            _port: port,
        }
    }

    /// One that takes connections.
    pub(super) fn started() -> Self {
        let service = Self::new();
        assert!(service.perform("start.sh"));
        let began = Instant::now();
        while std::net::TcpStream::connect(service.address()).is_err() {
            assert!(began.elapsed() < Duration::from_secs(60), "{}", service.log());
            std::thread::yield_now();
        }
        service
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.base.trim_start_matches("http://").parse().unwrap()
    }

    fn script(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn perform(&self, name: &str) -> bool {
        let done = Command::new("sh").arg(self.script(name)).status();
        done.is_ok_and(|status| status.success())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.perform("kill.sh");
    }
}

fn verdicts(dir: &TempDir, area: &str) -> Vec<String> {
    let report = report(dir);
    let cases = report["cases"].as_array().unwrap().iter();
    let of_area = cases.filter(|case| case["area"] == area);
    of_area
        .map(|case| case["verdict"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn a_server_that_runs_already_is_killed_and_started_by_its_commands() {
    // Ready or not: the look before the run needs an answer.
    let service = Service::started();
    let config = service.script("conformance.toml");
    let text = format!(
        "urls = [{:?}]\ndeactivate = {:?}\n[commands]\nkill = [\"sh\", {:?}]\nstart = [\"sh\", {:?}]\nready = \"/health\"\n",
        service.base,
        deactivation(&service.script("data")),
        service.script("kill.sh"),
        service.script("start.sh"),
    );
    std::fs::write(&config, text).unwrap();
    let chosen = ["durability::*", "typing::*", "auth::inactive_accounts"].map(|case| ["--case", case]);
    let (output, dir) = program(&[&["--config", &config], chosen.as_flattened()].concat());
    let said = must_end(&output, 0);
    assert_eq!(verdicts(&dir, "auth"), ["pass"], "{said}");
    assert_eq!(verdicts(&dir, "durability"), ["pass", "pass"], "{said}");
    assert!(
        verdicts(&dir, "typing").iter().all(|verdict| verdict == "pass"),
        "{said}"
    );
    assert!(service.log().matches("killed").count() >= 3, "{}", service.log());

    // What kills nothing proves nothing: undecided, and no fault of the server.
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("kill.sh", "nothing.sh")).unwrap();
    std::fs::write(service.script("nothing.sh"), "true\n").unwrap();
    let (output, dir) = program(&["--config", &config, "--case", "durability::every*"]);
    let said = must_end(&output, 3);
    assert_eq!(verdicts(&dir, "durability"), ["inconclusive"], "{said}");
    assert!(said.contains("nodes live"), "{said}");
}

/// The command of the reference server, as an operator's of any server.
fn deactivation(data: &str) -> [&str; 8] {
    [
        THIS,
        "__serve",
        "user",
        "deactivate",
        "{username}",
        "--data-dir",
        data,
        "--env-file=/nonexistent",
    ]
}

#[test]
fn accounts_are_deactivated_by_the_command_of_the_target_file() {
    let judged = |command: &str| limited("", command, &["--case", "auth::inactive_accounts"]);
    let (output, dir) = judged(&format!("deactivate = {:?}\n", deactivation("{data}")));
    let said = must_end(&output, 0);
    assert_eq!(verdicts(&dir, "auth"), ["pass"], "{said}");

    // One that does nothing shows a server that lets them in, one that fails shows nothing.
    let (output, dir) = judged("deactivate = [\"true\", \"{username}\"]\n");
    let said = must_end(&output, 1);
    assert_eq!(verdicts(&dir, "auth"), ["fail"], "{said}");
    let (output, dir) = judged("deactivate = [\"false\", \"{username}\"]\n");
    let said = must_end(&output, 3);
    assert_eq!(verdicts(&dir, "auth"), ["inconclusive"], "{said}");
}

/// How long the run took, in milliseconds.
fn took(dir: &TempDir) -> u64 {
    report(dir)["milliseconds"].as_u64().unwrap()
}

/// The reference server with these variables, by a command that the suite knows nothing of.
fn limited(variables: &str, config: &str, more: &[&str]) -> (std::process::Output, TempDir) {
    let files = TempDir::new().unwrap();
    let path = files.path().join("conformance.toml");
    let script = format!("{variables} exec {THIS} __serve --env-file /nonexistent --data-dir {{data}}");
    let server = format!("[server]\ncommand = [\"sh\", \"-c\", {script:?}]\nready = \"/health\"\ndatabases = false\n");
    std::fs::write(&path, format!("{config}{server}")).unwrap();
    let path = path.display().to_string();
    program(&[&["--config", path.as_str()], more].concat())
}

#[test]
fn a_limit_of_events_is_said_before_the_run_and_then_kept_in_mind() {
    let few = "SOCKET_RATE_LIMIT_MAX_EVENTS=50";
    let selected = ["--only", "typing_goes_to_the_peer"];
    let (output, _) = limited(few, "", &selected);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(code(&output), Some(3), "{said}");
    assert!(said.contains("[limits] events = 50"), "{said}");

    let (output, dir) = limited(few, "[limits]\nevents = 50\n", &selected);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(code(&output), Some(0), "{said}");
    let summary = std::fs::read_to_string(dir.path().join("summary.md")).unwrap();
    assert!(
        summary.contains("Before the run") && summary.contains("RATE\\_LIMITED"),
        "{summary}"
    );
}

#[test]
fn what_is_asked_stays_below_limits_that_cannot_be_lifted() {
    let few = "AUTH_RATE_LIMIT_MAX_REQUESTS=10 RATE_LIMIT_WINDOW_MS=5000";
    let limits = "[limits]\nauth-requests = 10\nwindow-seconds = 5\n";
    // More users than one window allows.
    let (output, dir) = limited(few, limits, &["--only", "delivery::"]);
    let said = must_end(&output, 0);
    let page = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert!(!page.contains("\"status\":429"), "the suite met the limit");

    assert!(took(&dir) > 5_000, "nothing had to wait: {said}");

    // So few that no run would end in time.
    let few = "AUTH_RATE_LIMIT_MAX_REQUESTS=20";
    let (output, _) = limited(few, "[limits]\nauth-requests = 20\n", &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(code(&output), Some(3), "{said}");
    assert!(said.contains("--deadline"), "{said}");
}

#[test]
fn whom_a_server_allows_is_its_own_affair_unless_the_target_file_names_somebody() {
    let judged = |config: &str| {
        let (output, _) = limited("CORS_ORIGIN=https://chat.example", config, &["--only", "preflight"]);
        code(&output)
    };
    assert_eq!(judged(""), Some(0));
    assert_eq!(judged("origin = \"https://chat.example\"\n"), Some(0));
    assert_eq!(judged("origin = \"https://other.example\"\n"), Some(1));
}

#[test]
fn a_server_that_is_not_the_reference_can_show_all_that_it_could() {
    let config = "[[coverage.excused]]\ncells = \"calls/login/*\"\nreason = \"seen all the same\"\n";
    let (output, dir) = limited("", config, &["--coverage-gate", "--jobs", "8"]);
    let said = must_end(&output, 0);
    // What needs the reference is excused, by the reason that its cases gave, and said.
    assert!(
        said.contains("  excused: requirements/") && said.contains("needs a "),
        "{said}"
    );
    assert!(
        !said.contains("seen all the same") && !said.contains("  missing"),
        "{said}"
    );
    let requirements = report(&dir)["requirements"].as_array().unwrap().clone();
    let state = |id: &str| requirements.iter().find(|one| one["id"] == id).unwrap()["state"].clone();
    assert_eq!(state("send.to.inactive"), "not-judged");
}

#[test]
fn a_target_file_that_says_two_things_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("conformance.toml");
    let shown = path.display().to_string();
    for text in [
        "urls = [\"http://127.0.0.1:1\"]\n[server]\ncommand = [\"node\"]\n",
        "urls = [\"http://127.0.0.1:1\"]\n[commands]\nkill = []\nstart = [\"true\"]\n",
        "[server]\ncommand = [\"node\"]\n[commands]\nkill = [\"true\"]\nstart = [\"true\"]\n",
        "[commands]\nkill = [\"true\"]\nstart = [\"true\"]\n",
        "[limits]\nwindow-seconds = 0\n",
        "[limits]\nrequest = 5\n",
        "origin = \"https://chat.example/\"\n",
        "origin = \"chat.example\"\n",
        "deactivate = [\"admin\", \"deactivate\"]\n",
    ] {
        std::fs::write(&path, text).unwrap();
        let (output, _) = program(&["--config", &shown, "--only", "typing::"]);
        assert_eq!(
            code(&output),
            Some(2),
            "{text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    // It names a server, and so does --stack.
    std::fs::write(&path, "[server]\ncommand = [\"node\"]\n").unwrap();
    let (output, _) = program(&["--config", &shown, "--stack", "sqlite", "--only", "typing::"]);
    assert_eq!(code(&output), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}
