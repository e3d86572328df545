//! How it is drawn.

use chat_client::protocol::Status;
use chat_client::{ConnectionState, SendState};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, List, ListItem, Paragraph};

use crate::app::App;

pub(crate) fn draw(frame: &mut Frame<'_>, app: &App) {
    let [banner, middle, input] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(3), Constraint::Length(3)]).areas(frame.area());
    let [chats, timeline] = Layout::horizontal([Constraint::Length(24), Constraint::Min(20)]).areas(middle);
    draw_banner(frame, app, banner);
    draw_chats(frame, app, chats);
    draw_timeline(frame, app, timeline);
    let title = app.notice.as_deref().unwrap_or("Message, or /chat NAME");
    frame.render_widget(
        Paragraph::new(app.input.as_str()).block(Block::bordered().title(title)),
        input,
    );
}

fn draw_banner(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let (text, colour) = match app.connection {
        ConnectionState::Online => ("online", Color::Green),
        ConnectionState::Connecting => ("connecting …", Color::Yellow),
        ConnectionState::Waiting => ("no connection; trying again …", Color::Yellow),
        ConnectionState::SessionEnded => ("logged out", Color::Red),
        _ => ("closed", Color::Red),
    };
    let unread = app.unread.total();
    frame.render_widget(
        Line::from(format!(" {text}, {unread} unread")).style(Style::new().bg(colour).black()),
        area,
    );
}

fn draw_chats(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let items = app.chats.iter().enumerate().map(|(index, chat)| {
        let mark = match app.presence.of(&chat.peer.id) {
            Status::Online => "●".green(),
            Status::Away => "●".yellow(),
            Status::Busy => "●".red(),
            _ => "○".dark_gray(),
        };
        let unread = chat.id.as_ref().map_or(0, |id| app.unread.of(id));
        let mut line = Line::from(vec![mark, Span::raw(format!(" {}", chat.peer.username))]);
        if unread > 0 {
            line.push_span(format!(" ({unread})").bold());
        }
        let style = if index == app.open {
            Style::new().reversed()
        } else {
            Style::new()
        };
        ListItem::new(line).style(style)
    });
    frame.render_widget(List::new(items).block(Block::bordered().title("Chats")), area);
}

fn draw_timeline(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let peer = app.chats.get(app.open).map(|chat| &chat.peer);
    let mut title = peer.map_or_else(|| "No chat".to_owned(), |peer| peer.username.clone());
    if peer.is_some_and(|peer| app.typing.contains(&peer.id)) {
        title.push_str(" is typing …");
    }
    let mut lines = Vec::new();
    if let Some(timeline) = &app.timeline {
        for message in timeline.messages() {
            let mine = message.sender == *app.me();
            let who = if mine {
                "me"
            } else {
                peer.map_or("?", |peer| peer.username.as_str())
            };
            let mut line = Line::from(vec![Span::raw(format!("{who}: ")).bold()]);
            match message.deleted_at {
                Some(_) => line.push_span("deleted".italic().dark_gray()),
                None => line.push_span(message.content.clone()),
            }
            if message.edited_at.is_some() && message.deleted_at.is_none() {
                line.push_span(" (edited)".dark_gray());
            }
            if mine && message.is_read {
                line.push_span(" ✓".green());
            }
            lines.push(line);
        }
        for (content, state) in timeline.unsent() {
            let mark = if state == SendState::Failed {
                " not sent"
            } else {
                " …"
            };
            lines.push(Line::from(format!("me: {content}{mark}")).dark_gray());
        }
    }
    // The newest at the bottom.
    let height = usize::from(area.height.saturating_sub(2));
    let shown = lines.split_off(lines.len().saturating_sub(height));
    frame.render_widget(Paragraph::new(shown).block(Block::bordered().title(title)), area);
}
