//! The memory of those who are connected and do nothing, each kind in a process that does nothing else.

use chat_client::Result;

use crate::people::Place;
use crate::process::resident_bytes;

/// The argument that makes this program such a process.
pub(crate) const WEIGH: &str = "weigh";
pub(crate) const BOTH: [&str; 2] = ["connections", "clients"];

/// Has this program do it once more.
pub(crate) async fn weigh_apart(what: &str, address: &str, number: usize) {
    let program = std::env::current_exe().expect("this program");
    let mut command = tokio::process::Command::new(program);
    command.args([WEIGH, what, address, &number.to_string()]);
    let ended = command.status().await.expect("this program once more");
    assert!(ended.success(), "{ended}");
}

pub(crate) async fn weigh(what: &str, address: &str, number: usize) -> Result<()> {
    let place = Place::at(address);
    let people = place.people(1).await?;
    let (mut connections, mut clients) = (Vec::with_capacity(number), Vec::with_capacity(number));
    let before = resident_bytes();
    for _ in 0..number {
        if what == BOTH[0] {
            connections.push(place.connection(&people[0]).await?);
        } else {
            let client = place.client(&people[0]).await?.resume().await?;
            client.online().await?;
            clients.push(client);
        }
    }
    let each = (resident_bytes() - before) / number as f64 / 1024.0;
    println!("{what}: {each:.1} KiB for each of {number} idle ones");
    Ok(())
}
