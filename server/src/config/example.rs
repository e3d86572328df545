//! `.env.example`, made from the table.

use std::fmt::Write as _;

use super::VARIABLES;
use super::variables::Initial;

/// The text of `.env.example`: every variable, with its default, or in a comment when it has none.
pub fn env_example() -> String {
    let mut text = String::from(
        "# Every setting of the server with its default. Copy it to .env and change what you need.\n\
         # Flags win over the environment, the environment over .env. An empty value means the default.\n\
         # Made by: chat-server check-config --example\n",
    );
    for variable in VARIABLES {
        let _ = writeln!(text, "\n# {}.\n# Takes {}.", variable.help, variable.takes); // A String takes everything.
        let _ = match variable.initial {
            Initial::Value(value) => writeln!(text, "{}={value}", variable.name),
            Initial::Unset { means, sample } => writeln!(text, "# Default: {means}.\n# {}={sample}", variable.name),
        };
    }
    text
}
