//! What changes in a database, as those are told who listen: the request `subscribe`.

use std::collections::HashSet;
use std::fmt;
use std::iter::FusedIterator;
use std::str::{self, Utf8Error};
use std::time::{Duration, Instant};

use crate::codec::{self, Data};
use crate::connection::{greet, milliseconds};
use crate::link::Link;
use crate::{CancelHandle, Connection, Error, Options};

/// With more names than the daemon itself tells, a change says only that something has changed.
const RELATIONS_MAX: usize = 1_000;
/// About as much as a socket holds: a program that was busy is told of that together.
const READ_BYTES: usize = 64 << 10;

/// What is to be told of: every change of the connection's database, without anything.
#[derive(Debug, Clone, Default)]
#[must_use = "it asks for nothing by itself"]
pub struct ChangesQuery {
    relations: Vec<String>,
    channels: Vec<String>,
    patterns: Vec<String>,
    database: Option<String>,
    from: Option<String>,
    delay: Option<Duration>,
}

impl ChangesQuery {
    /// Everything.
    pub fn new() -> Self {
        ChangesQuery::default()
    }

    /// One more table, by its name, whatever its case; all, where none is named.
    pub fn relation(mut self, name: &str) -> Self {
        self.relations.push(name.to_owned());
        self
    }

    /// One more channel of PostgreSQL or Redis, whose tables do not tell: each change is a message that is sent to it.
    pub fn channel(mut self, name: &str) -> Self {
        self.channels.push(name.to_owned());
        self
    }

    /// One more pattern of names of channels (Redis).
    pub fn pattern(mut self, pattern: &str) -> Self {
        self.patterns.push(pattern.to_owned());
        self
    }

    /// A database by its name in the daemon's configuration, instead of the connection's.
    pub fn database(mut self, name: &str) -> Self {
        self.database = Some(name.to_owned());
        self
    }

    /// Where other changes have come to ([`Change::position`]), to go on there.
    pub fn since(mut self, position: &str) -> Self {
        self.from = Some(position.to_owned());
        self
    }

    /// For how long changes are gathered; each commit is told by itself without, as long as the program keeps up.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }
}

/// What was sent to a channel of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelMessage {
    channel: Vec<u8>,
    payload: Vec<u8>,
    pattern: Option<Vec<u8>>,
    pid: Option<u64>,
}

impl ChannelMessage {
    fn of(data: &Data) -> Option<ChannelMessage> {
        let bytes = |key: &str| match data.get(key) {
            Data::Text(text) => Some(text.as_bytes().to_vec()),
            Data::Blob(bytes) => Some(bytes.clone()),
            _ => None,
        };
        Some(ChannelMessage {
            channel: bytes("channel")?,
            payload: bytes("payload").unwrap_or_default(),
            pattern: bytes("pattern"),
            pid: data.get("pid").as_u64(),
        })
    }

    /// Where it was sent to.
    ///
    /// # Errors
    /// Where the name is no UTF-8: [`channel_bytes`](ChannelMessage::channel_bytes) has it.
    pub fn channel(&self) -> Result<&str, Utf8Error> {
        str::from_utf8(&self.channel)
    }

    /// Where it was sent to.
    pub fn channel_bytes(&self) -> &[u8] {
        &self.channel
    }

    /// What was sent.
    ///
    /// # Errors
    /// Where it is no UTF-8: [`payload_bytes`](ChannelMessage::payload_bytes) has it.
    pub fn payload(&self) -> Result<&str, Utf8Error> {
        str::from_utf8(&self.payload)
    }

    /// What was sent.
    pub fn payload_bytes(&self) -> &[u8] {
        &self.payload
    }

    /// By what it was heard, where that is a [pattern](ChangesQuery::pattern).
    pub fn pattern_bytes(&self) -> Option<&[u8]> {
        self.pattern.as_deref()
    }

    /// The sender's process on the server, where it tells that (PostgreSQL).
    pub fn pid(&self) -> Option<u64> {
        self.pid
    }
}

/// What one commit has changed, or some together. Who reads the database after it was told sees it. Or a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// What was told up to here, for [`ChangesQuery::since`].
    pub position: String,
    /// The tables that were changed, each once.
    pub relations: Vec<String>,
    /// Whether tables, columns, indexes, views or triggers were made, altered or dropped.
    pub is_of_schema: bool,
    /// Why it is not known what has changed, such as "other_program" (docs/protocol.md, Subscriptions): whatever was read before has
    /// to be read again. `None` where `relations` are all.
    pub resync: Option<String>,
    /// Of changes of channels; `None` where some were missed, which `resync` says.
    pub message: Option<ChannelMessage>,
}

impl Change {
    pub(crate) fn of(data: &Data) -> Change {
        let text = |key: &str| data.get(key).as_str().map(str::to_owned);
        let names = data.get("relations").items().iter();
        Change {
            position: text("position").unwrap_or_default(),
            relations: names.filter_map(|name| name.as_str().map(str::to_owned)).collect(),
            is_of_schema: data.get("schema").as_bool() == Some(true),
            // A reason that is not told is still one.
            resync: (data.get("resync").as_bool() == Some(true))
                .then(|| text("reason").unwrap_or_else(|| "unknown".to_owned())),
            message: ChannelMessage::of(data),
        }
    }

    /// This change and one that came behind it, as one; for what are no messages.
    fn followed_by(mut self, later: Change) -> Change {
        let known: HashSet<String> = self.relations.iter().cloned().collect();
        self.relations.extend(later.relations.into_iter().filter(|name| !known.contains(name)));
        self.position = later.position;
        self.is_of_schema |= later.is_of_schema;
        self.resync = self.resync.or(later.resync);
        if self.relations.len() > RELATIONS_MAX {
            self.relations.clear();
            self.resync.get_or_insert_with(|| "too_many".to_owned());
        }
        self
    }
}

/// What changes in a database: an iterator that waits, made by [`Connection::changes`]. Dropping it ends the subscription.
///
/// It ends with an error: [`Error::Cancelled`] where a [`CancelHandle`] has stopped it, [`Error::ConnectionLost`] where the daemon
/// stops or dies. While the program is busy nothing is kept for it: what has happened is told together. Of messages, which come one
/// by one, the daemon keeps some.
#[must_use = "changes are told to who iterates"]
pub struct Changes {
    link: Link,
    id: i64,
    covers: String,
    position: String,
    /// What came and was not told: the first reply, where it says more than its position; a message behind a change.
    first: Option<Change>,
    /// Why no more is told, for who asks next.
    failure: Option<Error>,
    has_ended: bool,
}

impl Changes {
    fn begin(options: &Options, query: &ChangesQuery) -> Result<Changes, Error> {
        let database = query.database.as_ref().or(options.database.as_ref());
        if database.is_none() && options.url.is_some() {
            let message = "Only databases of the daemon's configuration tell what changes.";
            return Err(Error::new("bad_request", message, Some("Name one: ChangesQuery::database.")));
        }
        let (mut link, _) = greet(options, false)?;
        let id = link.send("subscribe", |fields| {
            if let Some(name) = database {
                fields.text("database", name);
            }
            let lists = [("relations", &query.relations), ("channels", &query.channels), ("patterns", &query.patterns)];
            for (key, names) in lists.iter().filter(|(_, names)| !names.is_empty()) {
                codec::put_texts(fields.field(key), names);
            }
            if let Some(position) = &query.from {
                fields.text("from", position);
            }
            if let Some(delay) = query.delay {
                fields.integer("delay_ms", if delay.is_zero() { 0 } else { milliseconds(delay) });
            }
            Ok(())
        })?;
        let reply = Changes::reply(&mut link, id)?;
        // From now on, what comes may be long in coming, and much together.
        link.connect_timeout = None;
        link.input.read_at_once(READ_BYTES);
        let covers = reply.get("covers").as_str().unwrap_or_default().to_owned();
        let first = Change::of(&reply);
        let position = first.position.clone();
        let first = first.resync.is_some().then_some(first);
        Ok(Changes { link, id, covers, position, first, failure: None, has_ended: false })
    }

    fn reply(link: &mut Link, id: i64) -> Result<Data, Error> {
        let reply = link.receive_data(id, "subscribe")?;
        Changes::going_on(link, reply)
    }

    fn going_on(link: &mut Link, reply: Data) -> Result<Data, Error> {
        if reply.get("more").as_bool() == Some(true) {
            Ok(reply)
        } else {
            Err(link.lost_beneath("subscribe", Error::lost("The daemon ended a subscription without an error.")))
        }
    }

    /// What is told: "all_writers", every commit, also of other programs; "daemon_writers", those that the daemon makes;
    /// "channels", every message that is sent to them.
    pub fn covers(&self) -> &str {
        &self.covers
    }

    /// What was told so far, for [`ChangesQuery::since`].
    pub fn position(&self) -> &str {
        &self.position
    }

    /// What ends it from another thread.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.link.cancel_handle()
    }

    /// Waits for the next change, for so long at most; `None` where none has come. A time of zero takes what is here.
    ///
    /// # Errors
    /// What ends the iterator.
    pub fn wait(&mut self, time: Duration) -> Result<Option<Change>, Error> {
        if self.has_ended {
            return Err(Error::new("connection_lost", "The changes have ended.", Some("Ask for changes again.")));
        }
        let end = Instant::now().checked_add(time);
        let change = self.receive(|link, id| match end {
            Some(end) => {
                link.receive_until(end, id, "subscribe")?.map(|reply| Changes::going_on(link, reply)).transpose()
            }
            None => Changes::reply(link, id).map(Some),
        });
        self.has_ended = change.is_err();
        change
    }

    /// Waits by `first` for a reply, and takes what is here behind it.
    fn receive(
        &mut self,
        first: impl FnOnce(&mut Link, i64) -> Result<Option<Data>, Error>,
    ) -> Result<Option<Change>, Error> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        let mut change = match self.first.take() {
            Some(first) => first,
            None => match first(&mut self.link, self.id)? {
                Some(reply) => Change::of(&reply),
                None => return Ok(None),
            },
        };
        while change.message.is_none() && self.link.input.has_frame() {
            match Changes::reply(&mut self.link, self.id).map(|reply| Change::of(&reply)) {
                Ok(later) if later.message.is_some() => {
                    self.first = Some(later);
                    break;
                }
                Ok(later) => change = change.followed_by(later),
                Err(error) => {
                    self.failure = Some(error);
                    break;
                }
            }
        }
        self.position.clone_from(&change.position);
        Ok(Some(change))
    }
}

impl Iterator for Changes {
    type Item = Result<Change, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let change = self.receive(|link, id| Changes::reply(link, id).map(Some));
        self.has_ended = change.is_err();
        change.transpose()
    }
}

impl FusedIterator for Changes {}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").field("position", &self.position).finish_non_exhaustive()
    }
}

impl Connection {
    /// Tells what changes in a database: who reads after this has returned is told of every later commit.
    ///
    /// It has a connection of its own, made with the options of this one, which goes on meanwhile.
    ///
    /// # Errors
    /// What the daemon says of a database that does not tell; as [`Options::connect`].
    pub fn changes(&self, query: &ChangesQuery) -> Result<Changes, Error> {
        Changes::begin(self.options(), query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(position: &str, relations: &[&str], is_of_schema: bool, resync: Option<&str>) -> Change {
        let relations = relations.iter().map(|name| (*name).to_owned()).collect();
        let resync = resync.map(str::to_owned);
        Change { position: position.to_owned(), relations, is_of_schema, resync, message: None }
    }

    #[test]
    fn changes_followed_by_changes() {
        let (one, two) = (change("a.1", &["x", "y"], false, None), change("a.2", &["y", "z"], true, None));
        assert_eq!(one.clone().followed_by(two.clone()), change("a.2", &["x", "y", "z"], true, None));
        let all = two.clone().followed_by(change("a.3", &[], false, Some("replaced"))).followed_by(one);
        assert_eq!(all.resync.as_deref(), Some("replaced"));
        let many: Vec<_> = (0..RELATIONS_MAX).map(|number| number.to_string()).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let all = change("a.4", &many, false, None).followed_by(two);
        assert_eq!(all, change("a.2", &[], true, Some("too_many")));
    }

    #[test]
    fn a_resync_without_a_reason_is_one() {
        let data = Data::map([("position", "a.1".into()), ("resync", true.into())]);
        assert_eq!(Change::of(&data).resync.as_deref(), Some("unknown"));
    }
}
