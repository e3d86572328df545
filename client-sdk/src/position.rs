//! How far one has read.

use std::collections::BTreeMap;
use std::path::Path;

use chat_protocol::{ChatId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result, file};

/// How far a program has read in every chat: keep it in a file, or anywhere by serde, to go on there after a restart.
///
/// Take it from [`Messages::position`](crate::Messages::position) when what was read has been dealt with, and give it to
/// [`Builder::position`](crate::Builder::position).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The `seq` of the last message that was read, by chat.
    pub(crate) chats: BTreeMap<ChatId, u64>,
    /// What was stored before was read, in every chat. It spares a look at chats that are older.
    pub(crate) seen: Option<Timestamp>,
}

impl Position {
    /// The `seq` up to which a chat was read; 0 when nothing was.
    #[must_use]
    pub fn of(&self, chat: &ChatId) -> u64 {
        self.chats.get(chat).copied().unwrap_or(0)
    }

    /// What [`save`](Self::save) wrote last; `None` when there is no such file: before the first run.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Position`] when the file cannot be read, or is not of a position. To begin now instead, remove it: what came
    /// meanwhile is then missed.
    pub async fn load(path: impl AsRef<Path>) -> Result<Option<Self>> {
        let path = path.as_ref();
        let failed = |what: &str| Error::new(ErrorKind::Position, format!("{}: {what}", path.display()));
        let json = file::read(path)
            .await
            .map_err(|error| failed("cannot be read").because(error))?;
        json.map(|json| serde_json::from_slice(&json))
            .transpose()
            .map_err(|error| failed("is not the file of a position").because(error))
    }

    /// Writes it to a file, whose directory exists. The file is replaced as a whole and is on the disk when this returns: a crash
    /// leaves the old position or the new one. That takes as long as the disk does, often milliseconds: with many messages a second,
    /// save after several.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Position`] when the file cannot be written; the old one is still there.
    pub async fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let failed = || Error::new(ErrorKind::Position, format!("{}: cannot be written", path.display()));
        let json = serde_json::to_vec(self).map_err(|error| failed().because(error))?;
        file::replace(path, json).await.map_err(|error| failed().because(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_to(seq: u64) -> Position {
        Position {
            chats: BTreeMap::from([("chat".parse().unwrap(), seq)]),
            seen: Some(Timestamp::from_millis(1_700_000_000_000)),
        }
    }

    #[tokio::test]
    async fn what_was_saved_last_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("position.json");
        assert_eq!(Position::load(&path).await.unwrap(), None);
        for seq in [1, 2] {
            read_to(seq).save(&path).await.unwrap();
            assert_eq!(Position::load(&path).await.unwrap(), Some(read_to(seq)));
        }
        // Whoever reads meanwhile, or after a crash, finds one of them whole.
        let writes = async {
            for seq in 3..200 {
                read_to(seq).save(&path).await.unwrap();
            }
        };
        let reads = async { while Position::load(&path).await.unwrap() != Some(read_to(199)) {} };
        tokio::join!(writes, reads);
    }

    #[tokio::test]
    async fn a_damaged_file_is_an_error_and_no_new_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("position.json");
        for damaged in ["", "{\"chats\":{\"chat\":"] {
            std::fs::write(&path, damaged).unwrap();
            let error = Position::load(&path).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Position);
            assert!(error.to_string().contains("position.json"), "{error}");
        }
        let error = read_to(1)
            .save(dir.path().join("none/position.json"))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Position);
    }
}
