//! The cases, a file per area. Each is a plain async function with fresh users of its own.

mod accounts;
mod auth;
mod cluster;
mod consistency;
mod delivery;
mod durability;
mod edits;
mod events;
mod fields;
mod history;
mod limits;
mod precedence;
mod presence;
mod promises;
mod read;
mod recipients;
mod search;
mod send;
mod sessions;
mod sockets;
mod storm;
mod tokens;
mod transport;
mod typing;
mod unavailable;
mod users;
mod wire;

use crate::engine::Case;
use crate::generated;

/// Every case, written by hand or generated.
pub fn all() -> impl Iterator<Item = Case> {
    // What takes long starts first.
    let areas = [
        sockets::CASES,
        typing::CASES,
        presence::CASES,
        promises::CASES,
        sessions::CASES,
        durability::CASES,
        storm::CASES,
        cluster::CASES,
        consistency::CASES,
        unavailable::CASES,
        limits::CASES,
        precedence::CASES,
        tokens::CASES,
        wire::CASES,
        auth::CASES,
        accounts::CASES,
        send::CASES,
        history::CASES,
        search::CASES,
        edits::CASES,
        read::CASES,
        users::CASES,
        events::CASES,
        fields::CASES,
        recipients::CASES,
        delivery::CASES,
    ];
    transport::all()
        .chain(areas.into_iter().flatten().cloned())
        .chain(generated::all())
}

use crate::engine::{Stop, World};
use crate::launch::{LaunchError, Launched};

/// A further server of the same kind with settings of its own.
pub(crate) async fn launch(w: &World, settings: &[(&str, &str)]) -> Result<Launched, Stop> {
    w.launcher()?.launch(settings).await.map_err(inconclusive)
}

fn inconclusive(error: LaunchError) -> Stop {
    match error {
        LaunchError::Unsupported(why) => Stop::NotApplicable(why),
        other => Stop::Inconclusive(other.to_string()),
    }
}
