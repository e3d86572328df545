//! Accounts.

use async_trait::async_trait;
use chat_protocol::{ProfileUpdate, UserId};
use rusqlite::{Connection, OptionalExtension as _};

use super::row::{self, USER, USER_UNSEEN};
use super::{SqliteStore, failure};
use crate::store::{
    CreateOutcome, NewUser, PasswordHash, Position, ProfileOutcome, Slice, StoreResult, UserRecord, UserStore,
};

/// With more matches than this, a walk in alphabetical order finds a page faster than sorting the matches would.
const FEW: usize = 1000;

#[async_trait]
impl UserStore for SqliteStore {
    async fn create_user(&self, user: NewUser) -> StoreResult<CreateOutcome> {
        self.writer.run(move |db| create(db, &user)).await
    }

    async fn user(&self, id: &UserId) -> StoreResult<Option<UserRecord>> {
        Ok(self.users(std::slice::from_ref(id)).await?.pop())
    }

    async fn users(&self, ids: &[UserId]) -> StoreResult<Vec<UserRecord>> {
        let ids = ids.to_vec();
        self.readers
            .read(move |db| {
                let find = || -> rusqlite::Result<Vec<UserRecord>> {
                    let mut query = db.prepare_cached(&format!("{USER} WHERE u.id = ?1"))?;
                    let users = ids
                        .iter()
                        .map(|id| query.query_row([id.as_str()], row::user).optional());
                    users.filter_map(Result::transpose).collect()
                };
                find().map_err(failure)
            })
            .await
    }

    async fn credentials(&self, identifier: &str) -> StoreResult<Option<(UserRecord, PasswordHash)>> {
        let name = if fault!(NamesInCase) {
            identifier.to_owned()
        } else {
            identifier.to_ascii_lowercase()
        };
        let email = identifier.to_lowercase();
        self.readers
            .read(move |db| {
                // A username never holds an @ and an email always does, so at most one of the two can match.
                Ok(credentials(db, "u.username_key", &name)?.or(credentials(db, "u.email", &email)?))
            })
            .await
    }

    async fn credentials_of(&self, id: &UserId) -> StoreResult<Option<(UserRecord, PasswordHash)>> {
        let id = id.clone();
        self.readers.read(move |db| credentials(db, "u.id", id.as_str())).await
    }

    async fn update_profile(&self, id: &UserId, update: ProfileUpdate) -> StoreResult<ProfileOutcome> {
        let target = id.clone();
        let outcome = self.writer.run(move |db| update_profile(db, &target, &update)).await?;
        // Read again: the writer knows no last-seen times.
        Ok(match outcome {
            ProfileOutcome::Updated(_) => self
                .user(id)
                .await?
                .map_or(ProfileOutcome::NotFound, ProfileOutcome::Updated),
            other => other,
        })
    }

    async fn replace_password(&self, id: &UserId, old: &PasswordHash, new: PasswordHash) -> StoreResult<bool> {
        let (id, old) = (id.clone(), old.clone());
        self.writer
            .run(move |db| {
                db.prepare_cached("UPDATE users SET password = ?3 WHERE id = ?1 AND password = ?2")
                    .and_then(|mut update| update.execute((id.as_str(), &old.0, &new.0)))
                    .map(|count| count > 0)
                    .map_err(failure)
            })
            .await
    }

    async fn set_active(&self, id: &UserId, active: bool) -> StoreResult<bool> {
        let id = id.clone();
        self.writer
            .run_with(move |ledger| {
                ledger.forget();
                let mut change = || -> rusqlite::Result<bool> {
                    let db = ledger.settled()?;
                    let known = db.execute("UPDATE users SET active = ?2 WHERE id = ?1", (id.as_str(), active))? > 0;
                    if !active {
                        let user = "user = (SELECT num FROM users WHERE id = ?1)";
                        db.execute(&format!("DELETE FROM sessions WHERE {user}"), [id.as_str()])?;
                    }
                    Ok(known)
                };
                change().map_err(failure)
            })
            .await
    }

    async fn search_users(&self, query: &str, from: Option<&Position>, limit: usize) -> StoreResult<Slice<UserRecord>> {
        // No username has other characters, and the index's query language trips over some of them.
        if !query
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        {
            return Ok(slice(Vec::new(), limit));
        }
        let (query, after) = (query.to_ascii_lowercase(), from.map(|p| p.0.clone()));
        self.readers
            .read(move |db| {
                let items = find_users(db, &query, after.as_deref(), limit + 1).map_err(failure)?;
                Ok(slice(items, limit))
            })
            .await
    }

    async fn list_users(&self, from: Option<&Position>, limit: usize) -> StoreResult<Slice<UserRecord>> {
        let after = from.map_or_else(String::new, |p| p.0.clone());
        self.readers
            .read(move |db| {
                let find = || -> rusqlite::Result<Vec<UserRecord>> {
                    let sql = format!("{USER} WHERE u.username_key > ?1 ORDER BY u.username_key LIMIT ?2");
                    let mut query = db.prepare_cached(&sql)?;
                    query.query_map((after, limit + 1), row::user)?.collect()
                };
                Ok(slice(find().map_err(failure)?, limit))
            })
            .await
    }
}

/// A page of a list in alphabetical order, from one item more than it shows.
fn slice(mut items: Vec<UserRecord>, limit: usize) -> Slice<UserRecord> {
    let more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().filter(|_| more);
    let next = last.map(|user| Position(user.username.to_ascii_lowercase()));
    Slice { items, next }
}

fn create(db: &Connection, user: &NewUser) -> StoreResult<CreateOutcome> {
    let key = if fault!(NamesInCase) {
        user.username.clone()
    } else {
        user.username.to_ascii_lowercase()
    };
    let insert = || -> rusqlite::Result<CreateOutcome> {
        if exists(db, "username_key", &key)? {
            return Ok(CreateOutcome::UsernameTaken);
        }
        if exists(db, "email", &user.email)? {
            return Ok(CreateOutcome::EmailTaken);
        }
        db.prepare_cached(
            "INSERT INTO users (id, username, username_key, email, password, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((
            user.id.as_str(),
            &user.username,
            &key,
            &user.email,
            &user.password.0,
            user.created_at.as_millis(),
        ))?;
        index_username(db, db.last_insert_rowid(), &key)?;
        let created = db
            .prepare_cached(&format!("{USER_UNSEEN} WHERE u.id = ?1"))?
            .query_row([user.id.as_str()], row::user)?;
        Ok(CreateOutcome::Created(created))
    };
    insert().map_err(failure)
}

fn update_profile(db: &Connection, id: &UserId, update: &ProfileUpdate) -> StoreResult<ProfileOutcome> {
    let apply = || -> rusqlite::Result<ProfileOutcome> {
        let sql = format!("{USER_UNSEEN} WHERE u.id = ?1");
        let Some(user) = db
            .prepare_cached(&sql)?
            .query_row([id.as_str()], row::user)
            .optional()?
        else {
            return Ok(ProfileOutcome::NotFound);
        };
        let name = update.username.as_ref().unwrap_or(&user.username);
        let key = name.to_ascii_lowercase();
        let renamed = key != user.username.to_ascii_lowercase();
        if renamed && exists(db, "username_key", &key)? {
            return Ok(ProfileOutcome::UsernameTaken);
        }
        let bio = update.bio.as_ref().unwrap_or(&user.bio);
        let picture = update.profile_picture.as_ref().unwrap_or(&user.profile_picture);
        let num: i64 = db
            .prepare_cached(
                "UPDATE users SET username = ?2, username_key = ?3, bio = ?4, profile_picture = ?5 WHERE id = ?1 \
                 RETURNING num",
            )?
            .query_row((id.as_str(), name, &key, bio, picture), |row| row.get(0))?;
        if renamed {
            db.execute("DELETE FROM username_trigrams WHERE rowid = ?1", [num])?;
            index_username(db, num, &key)?;
        }
        Ok(ProfileOutcome::Updated(user))
    };
    apply().map_err(failure)
}

fn index_username(db: &Connection, num: i64, key: &str) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT INTO username_trigrams (rowid, username_key) VALUES (?1, ?2)")?
        .execute((num, key))?;
    Ok(())
}

fn exists(db: &Connection, column: &str, value: &str) -> rusqlite::Result<bool> {
    db.prepare_cached(&format!("SELECT 1 FROM users WHERE {column} = ?1"))?
        .exists([value])
}

fn credentials(db: &Connection, column: &str, value: &str) -> StoreResult<Option<(UserRecord, PasswordHash)>> {
    let sql = USER.replace(" FROM users u", ", u.password FROM users u");
    db.prepare_cached(&format!("{sql} WHERE {column} = ?1"))
        .and_then(|mut query| {
            query
                .query_row([value], |found| Ok((row::user(found)?, PasswordHash(found.get(8)?))))
                .optional()
        })
        .map_err(failure)
}

fn find_users(db: &Connection, query: &str, after: Option<&str>, limit: usize) -> rusqlite::Result<Vec<UserRecord>> {
    let after = after.unwrap_or("");
    if query.len() < 3 {
        // Usernames are ASCII, so this is the first string behind all that begin with the query.
        let end = format!("{query}\u{7f}");
        let sql = format!(
            "{USER} WHERE u.username_key >= ?1 AND u.username_key < ?2 AND u.username_key > ?3 AND u.active \
             ORDER BY u.username_key LIMIT ?4"
        );
        let mut statement = db.prepare_cached(&sql)?;
        return statement.query_map((query, end, after, limit), row::user)?.collect();
    }
    let mut matching =
        db.prepare_cached("SELECT rowid FROM username_trigrams WHERE username_trigrams MATCH ?1 LIMIT ?2")?;
    let phrase = super::search::phrase(query);
    let nums: Vec<i64> = matching
        .query_map((&phrase, FEW), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    if nums.len() < FEW {
        let active = if fault!(InactiveFound) { "" } else { " AND u.active" };
        let sql = format!("{USER} WHERE u.num = ?1{active} AND u.username_key > ?2 AND instr(u.username_key, ?3)");
        let mut statement = db.prepare_cached(&sql)?;
        let found = nums
            .iter()
            .map(|num| statement.query_row((num, after, query), row::user).optional());
        let mut users: Vec<_> = found.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        users.sort_by_cached_key(|user| user.username.to_ascii_lowercase());
        users.truncate(limit);
        return Ok(users);
    }
    let sql = format!(
        "{USER} WHERE u.username_key > ?1 AND u.active AND instr(u.username_key, ?2) ORDER BY u.username_key LIMIT ?3"
    );
    let mut statement = db.prepare_cached(&sql)?;
    statement.query_map((after, query, limit), row::user)?.collect()
}
