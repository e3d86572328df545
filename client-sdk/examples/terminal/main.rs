//! A chat in the terminal: chats, timeline, who types, who is there, and whether there is a connection.
//!
//! `cargo run --example terminal -- http://localhost:3000 ann "her password"`; Tab or the arrows change the chat, `/chat NAME`
//! begins one, PageUp loads older messages, Ctrl-C ends. With a fourth argument it takes its keys from standard input, a line
//! each, and prints the last screen at the end: so it can be run where there is no terminal.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "an example")]

mod app;
mod view;

use std::io::BufRead as _;
use std::time::Duration;

use chat_client::{Client, Result};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{self, Event as Input, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;

use self::app::App;

/// How often the screen is drawn when nothing happens, for typing that ends by itself.
const REDRAW: Duration = Duration::from_millis(500);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, name, password, ..] = &arguments[..] else {
        panic!("an address, a name and a password");
    };
    let client = Client::builder(address).login(name, password.as_str()).await?;
    let mut app = App::new(client.clone()).await?;
    if arguments.len() > 3 {
        let mut screen = Terminal::new(TestBackend::new(80, 24)).expect("a screen in memory");
        run(&mut app, script(), |app| {
            screen.draw(|frame| view::draw(frame, app)).expect("a screen in memory");
        })
        .await?;
        println!("{}", screen.backend());
    } else {
        let mut screen = ratatui::init();
        let ended = run(&mut app, keyboard(), |app| {
            screen.draw(|frame| view::draw(frame, app)).expect("a terminal");
        })
        .await;
        ratatui::restore();
        ended?;
    }
    client.shutdown().await;
    Ok(())
}

async fn run(app: &mut App, mut keys: mpsc::Receiver<KeyEvent>, mut draw: impl FnMut(&App)) -> Result<()> {
    loop {
        draw(app);
        tokio::select! {
            key = keys.recv() => match key {
                Some(key) if !is_end(key) => app.key(key).await?,
                _ => break,
            },
            () = app.happened() => {}
            () = tokio::time::sleep(REDRAW) => {}
        }
    }
    app.settle().await;
    draw(app);
    Ok(())
}

fn is_end(key: KeyEvent) -> bool {
    key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL)
}

/// Reading a terminal blocks, so it has a thread, which ends with the process.
fn keyboard() -> mpsc::Receiver<KeyEvent> {
    let (sender, keys) = mpsc::channel(64);
    std::thread::spawn(move || {
        while let Ok(input) = event::read() {
            if let Input::Key(key) = input
                && key.kind == KeyEventKind::Press
                && sender.blocking_send(key).is_err()
            {
                return;
            }
        }
    });
    keys
}

/// Lines of standard input, as somebody would type them.
fn script() -> mpsc::Receiver<KeyEvent> {
    let (sender, keys) = mpsc::channel(64);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(std::io::Result::ok) {
            let keys = line.chars().map(KeyCode::Char).chain([KeyCode::Enter]);
            for key in keys {
                if sender.blocking_send(KeyEvent::new(key, KeyModifiers::NONE)).is_err() {
                    return;
                }
            }
        }
    });
    keys
}
