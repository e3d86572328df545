//! What is shown, and what keys do to it.

use chat_client::protocol::{ChatId, User, UserId};
use chat_client::state::{Presence, Timeline, TypingSignal, Unread, WhoTypes};
use chat_client::{Client, ConnectionState, Event, Events, Messages, Outgoing, Result};
use futures_util::TryStreamExt as _;
use ratatui::crossterm::event::{KeyCode, KeyEvent};

pub(crate) struct App {
    client: Client,
    messages: Messages,
    events: Events,
    pub(crate) connection: ConnectionState,
    pub(crate) chats: Vec<Entry>,
    /// Which of the chats is open.
    pub(crate) open: usize,
    pub(crate) timeline: Option<Timeline>,
    pub(crate) presence: Presence,
    pub(crate) typing: WhoTypes,
    pub(crate) unread: Unread,
    pub(crate) input: String,
    /// Said at the bottom until the next key.
    pub(crate) notice: Option<String>,
    signal: Option<TypingSignal>,
    last_sent: Option<Outgoing>,
}

/// A chat in the list.
pub(crate) struct Entry {
    pub(crate) peer: User,
    pub(crate) id: Option<ChatId>,
}

impl App {
    pub(crate) async fn new(client: Client) -> Result<Self> {
        let mut app = Self {
            messages: client.all_messages(),
            events: client.events(),
            connection: client.connection_state(),
            chats: Vec::new(),
            open: 0,
            timeline: None,
            presence: Presence::load(&client).await?,
            typing: WhoTypes::default(),
            unread: Unread::load(&client).await?,
            input: String::new(),
            notice: None,
            signal: None,
            last_sent: None,
            client,
        };
        app.list().await?;
        app.show(0).await?;
        Ok(app)
    }

    pub(crate) fn me(&self) -> &UserId {
        self.client.user_id()
    }

    async fn list(&mut self) -> Result<()> {
        let chats: Vec<_> = self.client.chats().limit(100).into_stream().try_collect().await?;
        self.chats.clear();
        for chat in chats {
            let peer = chat
                .participants
                .into_iter()
                .find(|user| user.id != *self.client.user_id());
            self.chats.extend(peer.map(|peer| Entry {
                peer,
                id: Some(chat.id),
            }));
        }
        Ok(())
    }

    async fn show(&mut self, chat: usize) -> Result<()> {
        self.open = chat;
        let Some(entry) = self.chats.get(chat) else {
            return Ok(());
        };
        self.timeline = Some(Timeline::open(&self.client, &entry.peer.id).await?);
        self.signal = Some(TypingSignal::new(&self.client, &entry.peer.id));
        if let Some(id) = entry.id.clone()
            && self.unread.of(&id) > 0
        {
            self.client.mark_chat_read(&id).await?;
            self.unread.reload(&self.client).await?;
        }
        Ok(())
    }

    /// Takes in the next thing that happens.
    pub(crate) async fn happened(&mut self) {
        let done = tokio::select! {
            Some(message) = self.messages.next() => {
                self.unread.arrived(&message);
                if let Some(timeline) = &mut self.timeline {
                    timeline.arrived(&message);
                }
                let known = self.chats.iter().any(|chat| chat.id.as_ref() == Some(&message.chat_id));
                if known { Ok(()) } else { self.list_again().await }
            }
            Some(event) = self.events.next() => self.event(event).await,
            else => std::future::pending().await,
        };
        if let Err(error) = done {
            self.notice = Some(error.to_string());
        }
    }

    /// A chat that is new comes first; the one that is open stays open.
    async fn list_again(&mut self) -> Result<()> {
        let open = self.chats.get(self.open).map(|chat| chat.peer.id.clone());
        self.list().await?;
        let place = self.chats.iter().position(|chat| Some(&chat.peer.id) == open.as_ref());
        match place {
            Some(place) => self.open = place,
            None => self.show(0).await?,
        }
        Ok(())
    }

    async fn event(&mut self, event: Event) -> Result<()> {
        self.presence.apply(&event);
        self.typing.apply(&event);
        self.unread.apply(&event);
        if let Some(timeline) = &mut self.timeline {
            timeline.apply(&event);
        }
        match event {
            Event::Connection(state) => self.connection = state,
            Event::CaughtUp | Event::Missed(_) => {
                self.presence.reload(&self.client).await?;
                self.unread.reload(&self.client).await?;
                if let Some(timeline) = &mut self.timeline {
                    timeline.reload().await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    pub(crate) async fn key(&mut self, key: KeyEvent) -> Result<()> {
        self.notice = None;
        let many = self.chats.len().max(1);
        match key.code {
            KeyCode::Char(character) => {
                self.input.push(character);
                if let Some(signal) = &self.signal {
                    signal.key();
                }
            }
            KeyCode::Backspace => drop(self.input.pop()),
            KeyCode::Enter => self.enter().await?,
            KeyCode::Tab | KeyCode::Down => self.show((self.open + 1) % many).await?,
            KeyCode::Up => self.show((self.open + many - 1) % many).await?,
            KeyCode::PageUp => {
                if let Some(timeline) = &mut self.timeline {
                    timeline.load_older().await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn enter(&mut self) -> Result<()> {
        let line = std::mem::take(&mut self.input);
        if let Some(signal) = &self.signal {
            signal.stop();
        }
        if let Some(name) = line.strip_prefix("/chat ") {
            return self.begin(name.trim()).await;
        }
        if line.trim().is_empty() {
            return Ok(());
        }
        match &mut self.timeline {
            Some(timeline) => match timeline.send(line) {
                Ok(sent) => self.last_sent = Some(sent),
                Err(error) => self.notice = Some(error.to_string()),
            },
            None => self.notice = Some("No chat is open: /chat NAME begins one.".into()),
        }
        Ok(())
    }

    async fn begin(&mut self, name: &str) -> Result<()> {
        let Some(peer) = self.client.find_user(name).await? else {
            self.notice = Some(format!("There is no user {name}."));
            return Ok(());
        };
        let known = self.chats.iter().position(|chat| chat.peer.id == peer.id);
        let place = known.unwrap_or_else(|| {
            self.chats.push(Entry { peer, id: None });
            self.chats.len() - 1
        });
        self.show(place).await
    }

    /// Before the end: what was sent last is stored, and shown.
    pub(crate) async fn settle(&mut self) {
        if let Some(sent) = self.last_sent.take()
            && let Ok(message) = sent.await
            && let Some(timeline) = &mut self.timeline
        {
            timeline.arrived(&message);
        }
    }
}
