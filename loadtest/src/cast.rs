//! Who takes part: persons, their devices, and who writes to whom.
//!
//! Made of groups that have nothing to do with each other, so that they can be dealt to several generators. Numbers of streams and of
//! shares are those of the whole, whichever part of it this is.

/// Which part of the whole this generator plays: `index` of `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Shard {
    pub index: usize,
    pub count: usize,
}

/// Those who take part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cast {
    /// Accounts that are needed.
    pub persons: usize,
    /// Those that only are there come last.
    pub devices: Vec<Device>,
    pub streams: Vec<Stream>,
    /// Pairs of persons who write to each other, the lower number first.
    pub chats: Vec<(usize, usize)>,
    /// Shares of the load over all shards.
    pub shares: usize,
}

/// A socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub person: usize,
    /// Which share of the load is its; none for one that only listens.
    pub share: Option<usize>,
    /// Where it sends: places in [`Cast::streams`].
    pub sends: Vec<usize>,
    /// What it is told of: places in [`Cast::streams`].
    pub hears: Vec<usize>,
}

/// What one device sends to one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Its number over all shards, as messages bear it.
    pub id: u32,
    pub device: usize,
    pub from: usize,
    pub to: usize,
    /// Who is told: all devices of the receiver and the other ones of the sender. The contract's "exactly once per device".
    pub hearers: Vec<usize>,
}

impl Shard {
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    fn has(self, group: usize) -> bool {
        group % self.count == self.index
    }

    /// This shard's part of something that can be dealt one by one.
    fn part(self, whole: usize) -> usize {
        whole / self.count + usize::from(self.index < whole % self.count)
    }
}

/// Sockets of one silent account: it is the sockets that cost.
const SILENT_PER_PERSON: usize = 20;

impl Cast {
    /// Pairs who write to each other, each with one device.
    #[must_use]
    pub fn pairs(pairs: usize, shard: Shard) -> Self {
        let mut cast = Self {
            shares: 2 * pairs,
            ..Self::default()
        };
        for pair in (0..pairs).filter(|pair| shard.has(*pair)) {
            let (ann, bob) = (cast.person(), cast.person());
            let at_ann = cast.device(ann, Some(2 * pair));
            let at_bob = cast.device(bob, Some(2 * pair + 1));
            cast.stream(2 * pair, at_ann, bob);
            cast.stream(2 * pair + 1, at_bob, ann);
            cast.chats.push((ann, bob));
        }
        cast.connect();
        cast
    }

    /// One who has many partners and devices, and them. The first device of each writes.
    #[must_use]
    pub fn hubs(hubs: usize, partners: usize, devices: usize, shard: Shard) -> Self {
        let mut cast = Self {
            shares: hubs * (partners + 1),
            ..Self::default()
        };
        for hub in (0..hubs).filter(|hub| shard.has(*hub)) {
            let base = hub * (partners + 1);
            let centre = cast.person();
            let first = cast.device(centre, Some(base));
            for _ in 1..devices.max(1) {
                cast.device(centre, None);
            }
            for partner in 0..partners {
                let person = cast.person();
                let device = cast.device(person, Some(base + 1 + partner));
                cast.stream(2 * (hub * partners + partner), first, person);
                cast.stream(2 * (hub * partners + partner) + 1, device, centre);
                cast.chats.push((centre, person));
            }
        }
        cast.connect();
        cast
    }

    /// Sockets that do nothing but be there, of accounts of their own.
    #[must_use]
    pub fn with_silent(mut self, sockets: usize, shard: Shard) -> Self {
        for number in 0..shard.part(sockets) {
            let person = match number % SILENT_PER_PERSON {
                0 => self.person(),
                _ => self.persons - 1,
            };
            self.device(person, None);
        }
        self
    }

    /// How many devices are users of goose's: those that send or are told of what others send, and one at least.
    #[must_use]
    pub fn acting(&self) -> usize {
        let acts = |device: &Device| device.share.is_some() || !device.hears.is_empty();
        self.devices.iter().rposition(acts).map_or(1, |last| last + 1)
    }

    fn person(&mut self) -> usize {
        self.persons += 1;
        self.persons - 1
    }

    fn device(&mut self, person: usize, share: Option<usize>) -> usize {
        self.devices.push(Device {
            person,
            share,
            sends: Vec::new(),
            hears: Vec::new(),
        });
        self.devices.len() - 1
    }

    fn stream(&mut self, id: usize, device: usize, to: usize) {
        if let Some(sender) = self.devices.get_mut(device) {
            sender.sends.push(self.streams.len());
            self.streams.push(Stream {
                id: u32::try_from(id).unwrap_or(u32::MAX),
                device,
                from: sender.person,
                to,
                hearers: Vec::new(),
            });
        }
    }

    /// Tells each device and stream of each other.
    fn connect(&mut self) {
        let mut devices_of = vec![Vec::new(); self.persons];
        for (number, device) in self.devices.iter().enumerate() {
            if let Some(devices) = devices_of.get_mut(device.person) {
                devices.push(number);
            }
        }
        for (place, stream) in self.streams.iter_mut().enumerate() {
            let of = |person: usize| devices_of.get(person).into_iter().flatten().copied();
            let others = of(stream.from).filter(|number| *number != stream.device);
            stream.hearers = of(stream.to).chain(others).collect();
            stream.hearers.sort_unstable();
            for number in &stream.hearers {
                if let Some(device) = self.devices.get_mut(*number) {
                    device.hears.push(place);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn pairs_write_to_each_other() {
        let cast = Cast::pairs(3, Shard::WHOLE);
        assert_eq!(
            (cast.persons, cast.devices.len(), cast.streams.len(), cast.shares),
            (6, 6, 6, 6)
        );
        for stream in &cast.streams {
            assert_eq!(stream.hearers.len(), 1);
            assert_eq!(cast.devices[stream.hearers[0]].person, stream.to);
        }
    }

    #[test]
    fn all_devices_of_both_but_the_sending_one_are_told() {
        let cast = Cast::hubs(2, 5, 3, Shard::WHOLE);
        assert_eq!((cast.persons, cast.devices.len(), cast.streams.len()), (12, 16, 20));
        for stream in &cast.streams {
            let from_hub = cast.devices[stream.device].sends.len() == 5;
            // The partner and the hub's two other devices; or all three of the hub.
            assert_eq!(stream.hearers.len(), 3, "{from_hub}");
            assert!(!stream.hearers.contains(&stream.device));
        }
    }

    #[test]
    fn shards_are_the_whole_dealt_out() {
        for of in [|shard| Cast::pairs(7, shard), |shard| Cast::hubs(5, 3, 2, shard)] {
            let whole: Cast = of(Shard::WHOLE);
            let parts: Vec<Cast> = (0..3).map(|index| of(Shard { index, count: 3 })).collect();
            let ids = |cast: &Cast| cast.streams.iter().map(|stream| stream.id).collect::<Vec<_>>();
            let shares = |cast: &Cast| {
                cast.devices
                    .iter()
                    .filter_map(|device| device.share)
                    .collect::<Vec<_>>()
            };
            for (all, mut dealt) in [
                (ids(&whole), parts.iter().flat_map(ids).collect::<Vec<_>>()),
                (
                    shares(&whole).into_iter().map(|share| share as u32).collect(),
                    parts.iter().flat_map(shares).map(|share| share as u32).collect(),
                ),
            ] {
                assert_eq!(dealt.iter().collect::<BTreeSet<_>>().len(), dealt.len());
                dealt.sort_unstable();
                let mut all = all;
                all.sort_unstable();
                assert_eq!(dealt, all);
            }
            assert!(parts.iter().all(|part| part.shares == whole.shares));
        }
    }

    #[test]
    fn silent_sockets_are_dealt_too() {
        let parts = (0..3).map(|index| {
            let shard = Shard { index, count: 3 };
            Cast::pairs(3, shard).with_silent(100, shard).devices.len() - 2
        });
        assert_eq!(parts.collect::<Vec<_>>(), [34, 33, 33]);
        assert_eq!(Cast::pairs(3, Shard::WHOLE).with_silent(100, Shard::WHOLE).acting(), 6);
        assert_eq!(Cast::hubs(1, 2, 3, Shard::WHOLE).acting(), 5);
    }
}
