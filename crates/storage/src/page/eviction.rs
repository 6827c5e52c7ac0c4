//! Which page leaves the cache when another needs its place.
//!
//! A hit costs the policy nothing: every frame counts its accesses, and a policy compares the
//! count with the one it saw last when it looks for a victim.

use std::collections::{BTreeMap, VecDeque};

use super::options::EvictionPolicyKind;

/// Chooses victims among the frames that hold a page. All methods run under the pool's lock.
pub(super) trait EvictionPolicy: Send + std::fmt::Debug {
    /// `frame` holds `page` now; `accesses` is its count so far.
    fn insert(&mut self, frame: u32, page: u32, accesses: u32);

    /// `frame` holds no page any more, for another reason than eviction.
    fn remove(&mut self, frame: u32);

    /// Takes a victim out of the policy's care. `accesses` tells any frame's count.
    fn victim(&mut self, accesses: &dyn Fn(u32) -> u32) -> Option<u32>;

    /// The victim stays: somebody holds it, or another one has left in its place.
    fn restore(&mut self, frame: u32, page: u32);
}

/// The policy of that kind.
pub(super) fn policy(kind: EvictionPolicyKind) -> Box<dyn EvictionPolicy> {
    match kind {
        EvictionPolicyKind::Clock => Box::new(Clock::default()),
        EvictionPolicyKind::S3Fifo => Box::new(S3Fifo::default()),
        EvictionPolicyKind::Random { seed } => Box::new(Random {
            generator: fastrand::Rng::with_seed(seed),
            resident: Vec::new(),
            place: Vec::new(),
        }),
    }
}

/// The element of a table indexed by frame, grown as needed.
fn entry<T: Clone + Default>(table: &mut Vec<T>, frame: u32) -> &mut T {
    let at = frame as usize;
    if table.len() <= at {
        table.resize(at + 1, T::default());
    }
    &mut table[at]
}

/// CLOCK: a hand goes round; a page used since the hand last came by gets another round.
#[derive(Debug, Default)]
struct Clock {
    /// Per frame whether it holds a page, and its accesses when last looked at.
    frames: Vec<(bool, u32)>,
    hand: usize,
}

impl EvictionPolicy for Clock {
    fn insert(&mut self, frame: u32, _page: u32, accesses: u32) {
        *entry(&mut self.frames, frame) = (true, accesses);
    }

    fn remove(&mut self, frame: u32) {
        entry(&mut self.frames, frame).0 = false;
    }

    fn victim(&mut self, accesses: &dyn Fn(u32) -> u32) -> Option<u32> {
        // Two rounds: in the second, only what is being used right now is spared again.
        for _ in 0..2 * self.frames.len() {
            let at = self.hand;
            self.hand = (at + 1) % self.frames.len();
            let (resident, seen) = &mut self.frames[at];
            let now = accesses(at as u32);
            if *resident && *seen == now {
                *resident = false;
                return Some(at as u32);
            }
            *seen = now;
        }
        let at = self.frames.iter().position(|(resident, _)| *resident)?;
        self.frames[at].0 = false;
        Some(at as u32)
    }

    fn restore(&mut self, frame: u32, _page: u32) {
        entry(&mut self.frames, frame).0 = true;
    }
}

/// S3-FIFO: new pages pass through a small queue and reach the main one only when used again;
/// pages that left the small queue unused and come back go to the main queue at once. The pool
/// grows and shrinks, so all is in proportion to the pages that it holds.
#[derive(Debug, Default)]
struct S3Fifo {
    /// Frames with a page.
    resident: usize,
    small: VecDeque<(u32, u32)>,
    main: VecDeque<(u32, u32)>,
    small_len: usize,
    ghosts: Ghosts,
    frames: Vec<S3Frame>,
}

#[derive(Clone, Copy, Debug, Default)]
struct S3Frame {
    /// Tells the frame's queue entry from older ones of the same frame.
    token: u32,
    queue: Queue,
    page: u32,
    seen: u32,
    frequency: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Queue {
    #[default]
    None,
    Small,
    Main,
}

/// Uses beyond this count no more.
const MOST_FREQUENT: u32 = 3;

impl S3Fifo {
    /// Puts a frame with a page at the end of a queue.
    fn push(&mut self, frame: u32, queue: Queue) {
        let state = entry(&mut self.frames, frame);
        match state.queue {
            Queue::None => self.resident += 1,
            Queue::Small => self.small_len -= 1,
            Queue::Main => {}
        }
        state.token = state.token.wrapping_add(1);
        state.queue = queue;
        let element = (frame, state.token);
        if queue == Queue::Small {
            self.small_len += 1;
            self.small.push_back(element);
        } else {
            self.main.push_back(element);
        }
        // Frames that were removed leave their elements behind: clear them out now and then.
        let most = 2 * self.frames.len() + 64;
        let frames = &self.frames;
        for (elements, queue) in [
            (&mut self.small, Queue::Small),
            (&mut self.main, Queue::Main),
        ] {
            if elements.len() > most {
                elements.retain(|(frame, token)| {
                    let state = &frames[*frame as usize];
                    state.token == *token && state.queue == queue
                });
            }
        }
    }

    /// The oldest frame of a queue, taken out of it, with its uses brought up to date.
    fn pop(&mut self, queue: Queue, accesses: &dyn Fn(u32) -> u32) -> Option<u32> {
        let elements = if queue == Queue::Small {
            &mut self.small
        } else {
            &mut self.main
        };
        while let Some((frame, token)) = elements.pop_front() {
            let state = &mut self.frames[frame as usize];
            if state.token != token || state.queue != queue {
                continue;
            }
            if queue == Queue::Small {
                self.small_len -= 1;
            }
            state.queue = Queue::None;
            self.resident -= 1;
            let now = accesses(frame);
            state.frequency = (state.frequency + now.wrapping_sub(state.seen)).min(MOST_FREQUENT);
            state.seen = now;
            return Some(frame);
        }
        None
    }
}

impl EvictionPolicy for S3Fifo {
    fn insert(&mut self, frame: u32, page: u32, accesses: u32) {
        let known = self.ghosts.take(page);
        let state = entry(&mut self.frames, frame);
        (state.page, state.seen, state.frequency) = (page, accesses, 0);
        self.push(frame, if known { Queue::Main } else { Queue::Small });
    }

    fn remove(&mut self, frame: u32) {
        let state = entry(&mut self.frames, frame);
        match state.queue {
            Queue::None => return,
            Queue::Small => self.small_len -= 1,
            Queue::Main => {}
        }
        state.queue = Queue::None;
        self.resident -= 1;
    }

    fn victim(&mut self, accesses: &dyn Fn(u32) -> u32) -> Option<u32> {
        // A tenth of the pool.
        let small_target = (self.resident / 10).max(1);
        loop {
            if self.small_len >= small_target {
                let Some(frame) = self.pop(Queue::Small, accesses) else {
                    self.small_len = 0;
                    continue;
                };
                // Two uses after the one that brought the page in earn the main queue.
                let state = &mut self.frames[frame as usize];
                if state.frequency > 1 {
                    state.frequency = 0;
                    self.push(frame, Queue::Main);
                    continue;
                }
                let page = state.page;
                self.ghosts.add(page, self.resident + 1);
                return Some(frame);
            }
            match self.pop(Queue::Main, accesses) {
                Some(frame) => {
                    let state = &mut self.frames[frame as usize];
                    if state.frequency > 0 {
                        state.frequency -= 1;
                        self.push(frame, Queue::Main);
                        continue;
                    }
                    return Some(frame);
                }
                None => return self.pop(Queue::Small, accesses),
            }
        }
    }

    fn restore(&mut self, frame: u32, page: u32) {
        let _ = self.ghosts.take(page);
        self.push(frame, Queue::Main);
    }
}

/// Pages that left the small queue lately.
#[derive(Debug, Default)]
struct Ghosts {
    order: VecDeque<(u32, u64)>,
    pages: BTreeMap<u32, u64>,
    next: u64,
}

impl Ghosts {
    /// Remembers `page`, and no more than `most`.
    fn add(&mut self, page: u32, most: usize) {
        self.next += 1;
        self.pages.insert(page, self.next);
        self.order.push_back((page, self.next));
        while self.order.len() > most
            && let Some((old, token)) = self.order.pop_front()
        {
            if self.pages.get(&old) == Some(&token) {
                self.pages.remove(&old);
            }
        }
    }

    fn take(&mut self, page: u32) -> bool {
        self.pages.remove(&page).is_some()
    }
}

/// Any frame.
#[derive(Debug)]
struct Random {
    generator: fastrand::Rng,
    resident: Vec<u32>,
    /// Per frame, its place in `resident` plus one.
    place: Vec<usize>,
}

impl EvictionPolicy for Random {
    fn insert(&mut self, frame: u32, _page: u32, _accesses: u32) {
        if *entry(&mut self.place, frame) != 0 {
            return;
        }
        self.resident.push(frame);
        *entry(&mut self.place, frame) = self.resident.len();
    }

    fn remove(&mut self, frame: u32) {
        let place = std::mem::take(entry(&mut self.place, frame));
        if place == 0 {
            return;
        }
        self.resident.swap_remove(place - 1);
        if let Some(moved) = self.resident.get(place - 1) {
            self.place[*moved as usize] = place;
        }
    }

    fn victim(&mut self, _accesses: &dyn Fn(u32) -> u32) -> Option<u32> {
        if self.resident.is_empty() {
            return None;
        }
        let frame = self.resident[self.generator.usize(..self.resident.len())];
        self.remove(frame);
        Some(frame)
    }

    fn restore(&mut self, frame: u32, page: u32) {
        self.insert(frame, page, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    /// Plays page references against a pool of `capacity` frames; the share of hits.
    fn hits(kind: EvictionPolicyKind, capacity: usize, references: &[u32]) -> f64 {
        let mut policy = policy(kind);
        let mut frames: Vec<(u32, u32)> = Vec::new();
        let mut cached: HashMap<u32, u32> = HashMap::new();
        let mut hits = 0;
        for page in references {
            if let Some(frame) = cached.get(page) {
                frames[*frame as usize].1 += 1;
                hits += 1;
                continue;
            }
            let frame = if frames.len() < capacity {
                frames.push((*page, 1));
                frames.len() as u32 - 1
            } else {
                let victim = policy.victim(&|frame| frames[frame as usize].1).unwrap();
                cached.remove(&frames[victim as usize].0).unwrap();
                frames[victim as usize].0 = *page;
                frames[victim as usize].1 += 1;
                victim
            };
            cached.insert(*page, frame);
            policy.insert(frame, *page, frames[frame as usize].1);
        }
        f64::from(hits) / references.len() as f64
    }

    const KINDS: [EvictionPolicyKind; 3] = [
        EvictionPolicyKind::Clock,
        EvictionPolicyKind::S3Fifo,
        EvictionPolicyKind::Random { seed: 3 },
    ];

    #[test]
    fn every_frame_is_given_exactly_once() {
        for kind in KINDS {
            let mut policy = policy(kind);
            for frame in 0..20 {
                policy.insert(frame, frame + 100, 1);
            }
            for frame in [3, 7, 19] {
                policy.remove(frame);
            }
            policy.insert(7, 300, 1);
            let first = policy.victim(&|_| 9).unwrap();
            policy.restore(first, 1);
            let mut given = HashSet::new();
            while let Some(frame) = policy.victim(&|_| 9) {
                assert!(given.insert(frame), "{kind:?} gave frame {frame} twice");
            }
            assert_eq!(given.len(), 18, "{kind:?}");
            assert!(!given.contains(&3));
        }
    }

    #[test]
    fn what_is_used_often_stays() {
        let mut random = fastrand::Rng::with_seed(5);
        let skewed: Vec<u32> = (0..50_000)
            .map(|_| (random.f64().powi(4) * 2000.0) as u32)
            .collect();
        let chance = hits(EvictionPolicyKind::Random { seed: 1 }, 200, &skewed);
        let clock = hits(EvictionPolicyKind::Clock, 200, &skewed);
        let s3 = hits(EvictionPolicyKind::S3Fifo, 200, &skewed);
        assert!(clock > chance, "clock {clock} random {chance}");
        assert!(s3 > clock, "s3 {s3} clock {clock}");
    }

    #[test]
    fn a_scan_does_not_wash_out_s3_fifo() {
        let mut random = fastrand::Rng::with_seed(6);
        let mut references = Vec::new();
        for round in 0..40 {
            references.extend((0..1000).map(|_| random.u32(..100)));
            references.extend(10_000 + round * 500..10_500 + round * 500);
        }
        let clock = hits(EvictionPolicyKind::Clock, 150, &references);
        let s3 = hits(EvictionPolicyKind::S3Fifo, 150, &references);
        assert!(s3 > clock, "s3 {s3} clock {clock}");
        assert!(s3 > 0.6, "s3 {s3}");
    }
}
