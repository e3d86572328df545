//! What is seen while it runs.

use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::say;
use crate::glance::{Glance, Watch};
use crate::report::{millis, thousands};

/// Users that are being made.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn users(count: usize, quiet: bool) -> Self {
        let bar = match quiet || !std::io::stderr().is_terminal() {
            true => ProgressBar::hidden(),
            false => ProgressBar::new(count as u64),
        };
        bar.set_style(style("{bar:30} {pos}/{len} users {elapsed}"));
        Self(bar)
    }

    pub(super) fn one(&self) {
        self.0.inc(1);
    }

    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}

/// A picture that changes in a terminal; elsewhere a line every ten seconds.
pub(super) fn live(quiet: bool) -> Option<Watch> {
    if quiet {
        return None;
    }
    if !std::io::stderr().is_terminal() {
        return Some(lines());
    }
    let bar = ProgressBar::new(1000);
    bar.set_style(style("{prefix} {bar:40.cyan/blue} {msg}"));
    Some(Box::new(move |glance: &Glance| {
        let part = match glance.phase {
            "settle" => glance.read as f64 / glance.chats.max(1) as f64,
            _ => glance.elapsed.as_secs_f64() / glance.lasts.as_secs_f64().max(1e-9),
        };
        bar.set_position((part.min(1.0) * 1000.0) as u64);
        bar.set_prefix(format!("{:>7}", glance.phase));
        bar.set_message(picture(glance));
    }))
}

fn lines() -> Watch {
    let last = Mutex::new(None::<(&'static str, Instant)>);
    Box::new(move |glance: &Glance| {
        let Ok(mut last) = last.lock() else { return };
        let phase = glance.phase;
        let was_said = last.is_some_and(|(of, at)| of == phase && at.elapsed() < Duration::from_secs(10));
        if was_said || !matches!(phase, "load" | "settle") {
            return;
        }
        *last = Some((phase, Instant::now()));
        if phase == "settle" {
            return say(&picture(glance));
        }
        say(&format!(
            "{:>5.0} s  {}",
            glance.elapsed.as_secs_f64(),
            picture(glance).replace('\n', "  ")
        ));
    })
}

fn picture(glance: &Glance) -> String {
    if glance.phase == "connect" {
        return format!("{}/{} devices", glance.connected, glance.devices);
    }
    if glance.phase == "settle" {
        return format!("reading back what was stored: {}/{} chats", glance.read, glance.chats);
    }
    let (p50, p99) = glance.deliver.unwrap_or_default();
    let server = glance.usage.map_or(String::new(), |usage| {
        format!(
            "\n  server    {} cores   {} MiB   {} sockets",
            usage.cores.map_or("?".into(), |cores| format!("{cores:.2}")),
            usage.memory.map_or("?".into(), thousands),
            usage.sockets.map_or("?".into(), |sockets| thousands(sockets as f64)),
        )
    });
    format!(
        "{:.0}/{:.0} s\n  rate      {}/s done of {}/s due\n  delivery  p50 {}   p99 {}\n  ledger    {} sent   {} acked   \
         {} told   {} under way\n  errors    {}   {} disconnects\n  generator late by {} at p99{server}",
        glance.elapsed.as_secs_f64(),
        glance.lasts.as_secs_f64(),
        thousands(glance.sent_per_second),
        thousands(glance.offered_per_second),
        millis(p50),
        millis(p99),
        thousands(glance.sent as f64),
        thousands(glance.acked as f64),
        thousands(glance.delivered as f64),
        thousands(glance.under_way.max(0) as f64),
        thousands(glance.errors as f64),
        thousands(glance.disconnects as f64),
        millis(glance.lateness.unwrap_or_default()),
    )
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
