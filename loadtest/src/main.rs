//! `chat-loadtest`: see `chat-loadtest --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    chat_loadtest::cli::run()
}
