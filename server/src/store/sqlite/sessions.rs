//! Sessions: logins and their refresh tokens.

use async_trait::async_trait;
use chat_protocol::{Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension as _};

use super::{SqliteStore, failure, row};
use crate::store::{
    NewSession, PasswordChanged, PasswordHash, RotateOutcome, SessionRecord, SessionStore, StoreResult,
};

#[async_trait]
impl SessionStore for SqliteStore {
    async fn create_session(&self, session: NewSession) -> StoreResult<()> {
        self.writer
            .run(move |db| {
                db.prepare_cached(
                    "INSERT INTO sessions (id, user, created_at, expires_at) \
                     SELECT ?1, num, ?3, ?4 FROM users WHERE id = ?2 AND active",
                )
                .and_then(|mut insert| {
                    let (created, expires) = (session.created_at.as_millis(), session.expires_at.as_millis());
                    insert.execute((&session.id, session.user.as_str(), created, expires))
                })
                .map_err(failure)?;
                Ok(())
            })
            .await
    }

    async fn session(&self, id: &str) -> StoreResult<Option<SessionRecord>> {
        let id = id.to_owned();
        self.readers.read(move |db| find(db, &id)).await
    }

    async fn rotate_session(
        &self,
        id: &str,
        generation: u32,
        number: u32,
        expires_at: Timestamp,
    ) -> StoreResult<RotateOutcome> {
        let id = id.to_owned();
        self.writer
            .run(move |db| {
                let Some(mut session) = find(db, &id)?.filter(|s| s.user_active && s.generation == generation) else {
                    return Ok(RotateOutcome::Ended);
                };
                if session.refresh_number != number && !fault!(RefreshReusable) {
                    if !fault!(ReuseKeepsSession) {
                        remove(db, &id)?;
                    }
                    return Ok(RotateOutcome::Reused { user: session.user });
                }
                session.refresh_number += 1;
                db.prepare_cached("UPDATE sessions SET refresh_number = ?2, expires_at = ?3 WHERE id = ?1")
                    .and_then(|mut update| update.execute((&id, session.refresh_number, expires_at.as_millis())))
                    .map_err(failure)?;
                Ok(RotateOutcome::Rotated(session))
            })
            .await
    }

    async fn end_session(&self, id: &str) -> StoreResult<bool> {
        let id = id.to_owned();
        self.writer.run(move |db| remove(db, &id)).await
    }

    async fn change_password(
        &self,
        user: &UserId,
        keep: &str,
        password: PasswordHash,
        expires_at: Timestamp,
    ) -> StoreResult<Option<PasswordChanged>> {
        let (user, keep) = (user.clone(), keep.to_owned());
        self.writer
            .run(move |db| {
                let Some(mut kept) = find(db, &keep)?.filter(|s| s.user == user && s.user_active) else {
                    return Ok(None);
                };
                kept.generation += 1;
                kept.refresh_number += 1;
                let change = || -> rusqlite::Result<Vec<String>> {
                    db.execute(
                        "UPDATE users SET password = ?2 WHERE id = ?1",
                        (user.as_str(), &password.0),
                    )?;
                    db.execute(
                        "UPDATE sessions SET generation = ?2, refresh_number = ?3, expires_at = ?4 WHERE id = ?1",
                        (&keep, kept.generation, kept.refresh_number, expires_at.as_millis()),
                    )?;
                    let mut others = db.prepare_cached(
                        "DELETE FROM sessions WHERE user = (SELECT num FROM users WHERE id = ?1) AND id <> ?2 \
                         RETURNING id",
                    )?;
                    if fault!(PasswordKeepsOthers) {
                        return Ok(Vec::new());
                    }
                    others.query_map((user.as_str(), &keep), |row| row.get(0))?.collect()
                };
                let ended = change().map_err(failure)?;
                Ok(Some(PasswordChanged { kept, ended }))
            })
            .await
    }

    async fn purge_sessions(&self, now: Timestamp) -> StoreResult<usize> {
        self.writer
            .run(move |db| {
                db.execute("DELETE FROM sessions WHERE expires_at < ?1", [now.as_millis()])
                    .map_err(failure)
            })
            .await
    }
}

fn find(db: &Connection, id: &str) -> StoreResult<Option<SessionRecord>> {
    db.prepare_cached(
        "SELECT u.id, s.generation, s.refresh_number, u.active FROM sessions s JOIN users u ON u.num = s.user \
         WHERE s.id = ?1",
    )
    .and_then(|mut query| {
        query
            .query_row([id], |found| {
                Ok(SessionRecord {
                    user: row::id(found, 0)?,
                    generation: found.get(1)?,
                    refresh_number: found.get(2)?,
                    user_active: found.get(3)?,
                })
            })
            .optional()
    })
    .map_err(failure)
}

fn remove(db: &Connection, id: &str) -> StoreResult<bool> {
    db.prepare_cached("DELETE FROM sessions WHERE id = ?1")
        .and_then(|mut delete| delete.execute([id]))
        .map(|count| count > 0)
        .map_err(failure)
}
