//! Devices that only are there: each a task, and no user of goose's, which would be most of what it takes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::seat;
use super::stage::Stage;

/// Connects them one after another at this rate, once those who act are there; returns when the last is on its way.
pub(super) async fn attend(stage: Arc<Stage>, connects_per_second: u32) {
    let devices = stage.script.cast.devices.len();
    let acting = stage.script.cast.acting();
    if acting >= devices || !everybody_acting_is_there(&stage, acting).await {
        return;
    }
    let mut turn = interval(Duration::from_secs(1) / connects_per_second.max(1));
    // A busy machine is not to be met by all of them at once.
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = stage.stop.subscribe();
    for number in acting..devices {
        tokio::select! {
            _ = stop.changed() => return,
            _ = turn.tick() => {}
        }
        tokio::spawn(sit(stage.clone(), number));
    }
}

/// Whether they are; otherwise the run is over.
async fn everybody_acting_is_there(stage: &Stage, acting: usize) -> bool {
    let mut stop = stage.stop.subscribe();
    let mut look = interval(Duration::from_millis(20));
    while stage.progress.seated.load(Ordering::Relaxed) < acting as u64 {
        tokio::select! {
            _ = stop.changed() => return false,
            _ = look.tick() => {}
        }
    }
    true
}

async fn sit(stage: Arc<Stage>, number: usize) {
    // Boxed, or the room that connecting takes is kept as long as the device sits.
    let Ok(mut player) = Box::pin(seat(&stage, number)).await else {
        return;
    };
    while !player.has_left() {
        player.play().await;
        // The run's own record has them.
        drop(player.take_samples());
    }
}
