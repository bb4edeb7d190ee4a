//! The allocator alone, without stacks, beside the C library's: nanoseconds for a free and a malloc of a random one of
//! 100,000 live blocks of mixed sizes, and resident bytes a block of 5 million blocks of 48 bytes.
//!
//! `cargo bench -p standstill-runtime --bench heap [-- NAME...]`; with LD_PRELOAD the second column is that allocator's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::NonNull;
use std::time::Duration;

use standstill_runtime::heap::{self, Origin, Request, Tag, ThreadHeap};
use standstill_runtime::trace::StackId;

const LIVE: usize = 100_000;
const PAIRS: usize = 2_000_000;

/// CPU time of the process so far: what other programs on the machine do does not count.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime(2) on a structure of ours.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

trait Allocator: Default {
    fn get(&mut self, size: usize) -> *mut u8;
    fn put(&mut self, block: *mut u8);
}

#[derive(Default)]
struct Ours(ThreadHeap);

impl Allocator for Ours {
    #[inline(always)]
    fn get(&mut self, size: usize) -> *mut u8 {
        let (tag, stack) = (Tag::Allocated, StackId(1));
        let scope = Default::default();
        let request = Request { size, align: 16, zeroed: false, origin: Origin::Malloc, tag, scope, stack };
        heap::allocate(&mut self.0, &request).unwrap().as_ptr()
    }

    #[inline(always)]
    fn put(&mut self, block: *mut u8) {
        heap::free(&mut self.0, NonNull::new(block).unwrap(), Origin::Malloc).unwrap();
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        heap::thread_exit(&mut self.0);
    }
}

#[derive(Default)]
struct Theirs;

impl Allocator for Theirs {
    #[inline(always)]
    fn get(&mut self, size: usize) -> *mut u8 {
        // SAFETY: a size above 0.
        unsafe { System.alloc(Layout::from_size_align_unchecked(size, 8)) }
    }

    #[inline(always)]
    fn put(&mut self, block: *mut u8) {
        // SAFETY: from `get`; System only hands it to free(3).
        unsafe { System.dealloc(block, Layout::from_size_align_unchecked(1, 8)) }
    }
}

struct Random(u64);

impl Random {
    #[inline(always)]
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// 16 to 1024 bytes, small ones more often.
    #[inline(always)]
    fn size(&mut self) -> usize {
        let bits = self.next();
        let top = 4 + (bits >> 60) as usize % 7;
        1 + (bits as usize >> 8) % (1 << top)
    }
}

/// Nanoseconds a pair.
fn churn<A: Allocator>(live: usize, pairs: usize, size: impl Fn(&mut Random) -> usize) -> f64 {
    let mut allocator = A::default();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut blocks: Vec<*mut u8> = (0..live).map(|_| allocator.get(size(&mut random))).collect();
    let start = cpu_time();
    for _ in 0..pairs {
        let at = random.next() as usize % live;
        allocator.put(blocks[at]);
        let block = allocator.get(size(&mut random));
        // SAFETY: a new block of at least one byte.
        unsafe { *block = 1 };
        blocks[at] = block;
    }
    let ns = (cpu_time() - start).as_nanos() as f64 / pairs as f64;
    blocks.into_iter().for_each(|block| allocator.put(block));
    ns
}

/// Nanoseconds a pair, with every block allocated by one thread and freed by another.
fn ping_pong<A: Allocator>() -> f64 {
    const ROUNDS: usize = 500;
    const BATCH: usize = 1000;
    let (send, receive) = std::sync::mpsc::sync_channel::<Vec<usize>>(4);
    let start = cpu_time();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut allocator = A::default();
            let mut random = Random(7);
            for _ in 0..ROUNDS {
                send.send((0..BATCH).map(|_| allocator.get(random.size()) as usize).collect()).unwrap();
            }
        });
        scope.spawn(|| {
            let mut allocator = A::default();
            for batch in receive {
                batch.into_iter().for_each(|block| allocator.put(block as *mut u8));
            }
        });
    });
    (cpu_time() - start).as_nanos() as f64 / (ROUNDS * BATCH) as f64
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Resident bytes a block.
fn footprint<A: Allocator>() -> f64 {
    const BLOCKS: usize = 5_000_000;
    let mut allocator = A::default();
    let mut blocks = vec![1usize; BLOCKS];
    let before = resident();
    for slot in &mut blocks {
        let block = allocator.get(48);
        // SAFETY: a new block of 48 bytes.
        unsafe { core::ptr::write_bytes(block, 1, 48) };
        *slot = block as usize;
    }
    let each = (resident() - before) as f64 / BLOCKS as f64;
    blocks.into_iter().for_each(|block| allocator.put(block as *mut u8));
    each
}

fn median(mut run: impl FnMut() -> f64) -> f64 {
    let mut results = [run(), run(), run(), run(), run()];
    results.sort_by(f64::total_cmp);
    results[2]
}

fn row(name: &str, ours: fn() -> f64, theirs: fn() -> f64, times: bool) {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if !wanted.is_empty() && !wanted.iter().any(|wanted| name.contains(wanted.as_str())) {
        return;
    }
    let (ours, theirs) = if times { (median(ours), median(theirs)) } else { (ours(), theirs()) };
    println!("{name:40} {ours:8.1} {theirs:8.1} {:6.2}", ours / theirs);
}

fn medium(random: &mut Random) -> usize {
    10_000 + random.next() as usize % 50_000
}

fn span(random: &mut Random) -> usize {
    70_000 + random.next() as usize % 500_000
}

fn main() {
    println!("{:40} {:>8} {:>8} {:>6}", "", "ours", "libc", "ratio");
    row(
        "churn 100k mixed, ns a pair",
        || churn::<Ours>(LIVE, PAIRS, Random::size),
        || churn::<Theirs>(LIVE, PAIRS, Random::size),
        true,
    );
    row(
        "churn 1000 mixed, ns a pair",
        || churn::<Ours>(1000, PAIRS, Random::size),
        || churn::<Theirs>(1000, PAIRS, Random::size),
        true,
    );
    row(
        "churn 1 of 48 bytes, ns a pair",
        || churn::<Ours>(1, PAIRS, |_| 48),
        || churn::<Theirs>(1, PAIRS, |_| 48),
        true,
    );
    row(
        "churn 100 of 10-60 KB, ns a pair",
        || churn::<Ours>(100, PAIRS / 10, medium),
        || churn::<Theirs>(100, PAIRS / 10, medium),
        true,
    );
    row(
        "churn 20 of 70-570 KB, ns a pair",
        || churn::<Ours>(20, PAIRS / 10, span),
        || churn::<Theirs>(20, PAIRS / 10, span),
        true,
    );
    row("allocated here, freed there, ns", ping_pong::<Ours>, ping_pong::<Theirs>, true);
    row("5 M blocks of 48 bytes, bytes each", footprint::<Ours>, footprint::<Theirs>, false);
}
