//! The heap against a model of it: a list of blocks, each filled with a pattern of its own.

mod children;
mod interrupted;

use core::ptr::NonNull;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, mpsc};

use super::*;
use crate::arch::USER_END;
use crate::base::{Addr, AddrRange};
use crate::trace::StackId;

/// Tests of the heap run one at a time: some look at all of it, or let system calls fail, or free a block twice. The heap under test serves nobody
/// else in the test process.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// xorshift64*, so that a failure repeats.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound
    }

    /// Mostly small, sometimes a span, rarely large.
    fn size(&mut self) -> usize {
        match self.below(1000) {
            0..700 => self.below(300),
            700..950 => self.below(9000),
            950..985 => self.below(80_000),
            985..998 => self.below(1 << 20),
            _ => self.below(6 << 20),
        }
    }
}

/// As the entry points of the C ABI do it: the short way first.
fn allocate(heap: &mut ThreadHeap, request: &Request) -> Option<NonNull<u8>> {
    let Request { size, align, zeroed, origin, tag, scope, stack } = *request;
    let plain = align <= 16 && !zeroed && tag == Tag::Allocated && scope == Scope::NONE;
    let block = if plain { allocate_quickly(heap, size, origin, stack) } else { None };
    block.or_else(|| super::allocate(heap, request))
}

/// As above.
fn free(heap: &mut ThreadHeap, block: NonNull<u8>, origin: Origin) -> Result<(), Misuse> {
    if free_quickly(heap, block, origin) { Ok(()) } else { super::free(heap, block, origin) }
}

/// As above.
fn reallocate(
    heap: &mut ThreadHeap,
    block: NonNull<u8>,
    request: &Request,
) -> Result<Option<NonNull<u8>>, Misuse> {
    let Request { size, align, zeroed, origin, tag, scope, stack } = *request;
    let plain = align <= 16 && !zeroed && tag == Tag::Allocated && scope == Scope::NONE;
    let moved = if plain { reallocate_quickly(heap, block, size, origin, stack) } else { None };
    moved.map_or_else(|| super::reallocate(heap, block, request), |moved| Ok(Some(moved)))
}

fn plain(size: usize) -> Request {
    Request {
        size,
        align: 16,
        zeroed: false,
        origin: Origin::Malloc,
        tag: Tag::Allocated,
        scope: Scope::NONE,
        stack: StackId(1),
    }
}

#[derive(Clone, Copy, Debug)]
struct Known {
    request: Request,
    seed: u8,
}

/// Writes a pattern that says which block this is and where in it.
fn fill(at: usize, size: usize, seed: u8) {
    for offset in places(size) {
        // SAFETY: inside a block of the test's.
        unsafe { *((at + offset) as *mut u8) = seed ^ offset as u8 };
    }
}

fn check(at: usize, size: usize, seed: u8) {
    for offset in places(size) {
        // SAFETY: inside a block of the test's.
        let found = unsafe { *((at + offset) as *const u8) };
        assert_eq!(found, seed ^ offset as u8, "{at:#x}+{offset} of {size}");
    }
}

/// All of a small block; the ends and a sample of a big one.
fn places(size: usize) -> impl Iterator<Item = usize> {
    let step = if size > 4096 { 509 } else { 1 };
    (0..size).step_by(step).chain(size.saturating_sub(16)..size)
}

struct Model {
    heap: ThreadHeap,
    /// Other threads use the heap at the same time: a block that was freed may be theirs at once.
    shared: bool,
    blocks: BTreeMap<usize, Known>,
    random: Random,
}

impl Model {
    fn new(seed: u64) -> Model {
        Model { heap: ThreadHeap::new(), shared: false, blocks: BTreeMap::new(), random: Random(seed) }
    }

    fn beside_others(seed: u64) -> Model {
        Model { shared: true, ..Model::new(seed) }
    }

    fn request(&mut self) -> Request {
        let align = match self.random.below(20) {
            0 => 1 << self.random.below(13),
            1 if self.random.below(30) == 0 => 1 << self.random.below(25),
            _ => 16,
        };
        Request {
            size: self.random.size(),
            align,
            zeroed: self.random.below(4) == 0,
            origin: [Origin::Malloc, Origin::New, Origin::NewArray][self.random.below(3)],
            tag: [Tag::Allocated, Tag::Ignored][self.random.below(2)],
            scope: Scope(self.random.below(16) as u8),
            stack: StackId(self.random.next() as u32),
        }
    }

    fn pick(&mut self) -> Option<(usize, Known)> {
        let from = self.random.next() as usize % (1 << 47);
        let found = self.blocks.range(from..).next().or_else(|| self.blocks.iter().next());
        // Addresses cluster: take one by position instead.
        let skip = self.random.below(self.blocks.len().max(1));
        self.blocks.iter().nth(skip.min(64)).or(found).map(|(at, known)| (*at, *known))
    }

    fn enter(&mut self, at: usize, request: Request) {
        assert_eq!(at % request.align.max(16), 0, "{request:?}");
        let end = at + request.size.max(1);
        assert!(self.blocks.range(at..end).next().is_none(), "overlaps a block behind it");
        if let Some((before, known)) = self.blocks.range(..at).next_back() {
            assert!(before + known.request.size.max(1) <= at, "overlaps a block before it");
        }
        let seed = self.random.next() as u8;
        fill(at, request.size, seed);
        self.blocks.insert(at, Known { request, seed });
        self.look(at);
    }

    /// What the heap says of a live block.
    fn look(&mut self, at: usize) {
        let Some(Known { request, .. }) = self.blocks.get(&at).copied() else { return };
        let size = request.size.max(1);
        let inside = at + self.random.below(size);
        let chunk = chunk_at(Addr::new(inside)).unwrap();
        assert_eq!(chunk.base.get(), at);
        assert_eq!(chunk.size, size);
        assert_eq!((chunk.stack, chunk.tag, chunk.origin), (request.stack, request.tag, request.origin));
        assert_eq!(usable_size(NonNull::new(at as *mut u8).unwrap()), size);
        if let Some(beyond) = chunk_at(Addr::new(at + size)) {
            assert_ne!(beyond.base.get(), at);
        }
    }

    fn allocate(&mut self) {
        let request = self.request();
        let block = allocate(&mut self.heap, &request).unwrap();
        if request.zeroed {
            for offset in places(request.size) {
                // SAFETY: inside the new block.
                assert_eq!(unsafe { *block.as_ptr().add(offset) }, 0, "{request:?} at {offset}");
            }
        }
        self.enter(block.addr().get(), request);
    }

    fn free(&mut self) {
        let Some((at, known)) = self.pick() else { return };
        check(at, known.request.size, known.seed);
        let block = NonNull::new(at as *mut u8).unwrap();
        let others = [Origin::Malloc, Origin::New, Origin::NewArray];
        let other = others[self.random.below(3)];
        if other != known.request.origin {
            let mismatch = Misuse::Mismatch { allocated: known.request.origin };
            assert_eq!(free(&mut self.heap, block, other), Err(mismatch));
        }
        if known.request.size > 1 {
            let inside = NonNull::new((at + 1) as *mut u8).unwrap();
            assert_eq!(free(&mut self.heap, inside, known.request.origin), Err(Misuse::Interior));
        }
        self.look(at);
        assert_eq!(free(&mut self.heap, block, known.request.origin), Ok(()));
        self.blocks.remove(&at);
        if self.shared {
            return;
        }
        let again = free(&mut self.heap, block, known.request.origin);
        assert!(matches!(again, Err(Misuse::DoubleFree | Misuse::NotOurs)), "{again:?}");
        if known.request.size < 60_000 && known.request.align <= 16 {
            assert_eq!(again, Err(Misuse::DoubleFree));
        }
        assert_eq!(chunk_at(Addr::new(at)), None);
    }

    fn reallocate(&mut self) {
        let Some((at, known)) = self.pick() else { return };
        let request = Request { origin: known.request.origin, zeroed: false, align: 16, ..self.request() };
        let block = NonNull::new(at as *mut u8).unwrap();
        let new = reallocate(&mut self.heap, block, &request).unwrap().unwrap();
        // The mark that a block is ignored goes with its contents.
        let ignored = known.request.tag == Tag::Ignored || request.tag == Tag::Ignored;
        let request = Request { tag: if ignored { Tag::Ignored } else { Tag::Allocated }, ..request };
        self.blocks.remove(&at);
        for offset in places(known.request.size).filter(|offset| *offset < request.size) {
            // SAFETY: inside the new block.
            let found = unsafe { *new.as_ptr().add(offset) };
            assert_eq!(found, known.seed ^ offset as u8, "{known:?} {request:?}");
        }
        self.enter(new.addr().get(), request);
    }

    fn step(&mut self, limit: usize) {
        let growing = self.blocks.len() < limit;
        match self.random.below(10) {
            0..5 if growing => self.allocate(),
            0..3 => self.allocate(),
            3..5 => self.free(),
            5..9 => self.free(),
            _ => self.reallocate(),
        }
    }

    /// The view finds exactly the model's blocks. Other tests' blocks may be there as well.
    fn compare(&self, view: &HeapView) {
        let mut seen = BTreeMap::new();
        let mut last = None;
        view.for_each(&mut |id, chunk| {
            assert!(last < Some(id) && id.index() < view.slots());
            last = Some(id);
            assert_eq!(view.chunk(id), chunk);
            assert!(view.bounds().contains(chunk.base));
            seen.insert(chunk.base.get(), (id, chunk));
        });
        for (at, known) in &self.blocks {
            let (id, chunk) = seen[at];
            assert_eq!(chunk.size, known.request.size.max(1));
            for offset in [0, chunk.size / 2, chunk.size - 1] {
                assert_eq!(view.find(Addr::new(at + offset)), Some(id));
                assert_eq!(view.locate(Addr::new(at + offset)), Some((id, chunk.range())));
            }
            assert_ne!(view.find(Addr::new(at + chunk.size)), Some(id));
            let mut inside = false;
            view.ranges(&mut |range| inside |= range.contains(chunk.base));
            assert!(inside);
        }
    }

    fn end(mut self) {
        while !self.blocks.is_empty() {
            self.free();
        }
        thread_exit(&mut self.heap);
    }
}

#[test]
fn blocks_are_as_the_model_says() {
    let _alone = alone();
    for seed in 1..5 {
        let mut model = Model::new(seed * 0x9e37_79b9);
        for step in 0..30_000 {
            model.step(2000);
            if step % 10_000 == 9_999 {
                model.compare(&HeapView::new().unwrap());
                thread_exit(&mut model.heap);
            }
        }
        model.end();
    }
}

#[test]
fn every_small_size_is_usable_to_its_last_byte() {
    let _alone = alone();
    let mut heap = ThreadHeap::new();
    let blocks: Vec<_> =
        (0..5000usize).map(|size| (size, allocate(&mut heap, &plain(size)).unwrap())).collect();
    for (size, block) in &blocks {
        fill(block.addr().get(), *size, *size as u8);
    }
    for (size, block) in blocks {
        check(block.addr().get(), size, size as u8);
        free(&mut heap, block, Origin::Malloc).unwrap();
    }
    thread_exit(&mut heap);
}

#[test]
fn absurd_sizes_are_refused() {
    let _alone = alone();
    let mut heap = ThreadHeap::new();
    for size in [usize::MAX, usize::MAX - 4096, isize::MAX as usize + 1, isize::MAX as usize, USER_END] {
        assert!(allocate(&mut heap, &plain(size)).is_none());
    }
    let block = allocate(&mut heap, &plain(5)).unwrap();
    fill(block.addr().get(), 5, 1);
    assert_eq!(reallocate(&mut heap, block, &plain(USER_END)), Ok(None));
    check(block.addr().get(), 5, 1);
    assert!(allocate(&mut heap, &Request { align: USER_END, ..plain(1) }).is_none());
    free(&mut heap, block, Origin::Malloc).unwrap();
    thread_exit(&mut heap);
}

#[test]
fn foreign_pointers_are_not_ours() {
    let _alone = alone();
    let mut heap = ThreadHeap::new();
    let local = 0u64;
    for addr in [16, 1 << 22, core::ptr::from_ref(&local).addr(), 1 << 47, usize::MAX - 15] {
        let block = NonNull::new(addr as *mut u8).unwrap();
        assert_eq!(free(&mut heap, block, Origin::Malloc), Err(Misuse::NotOurs));
        assert_eq!(usable_size(block), 0);
        assert!(!set_tag(Addr::new(addr), Tag::Ignored));
    }
}

#[test]
fn tags_change_and_ignored_blocks_can_be_freed() {
    let _alone = alone();
    let mut heap = ThreadHeap::new();
    for size in [40, 200_000, 3 << 20] {
        let block = allocate(&mut heap, &plain(size)).unwrap();
        let addr = Addr::new(block.addr().get());
        assert!(set_tag(addr.plus(size - 1), Tag::Ignored));
        assert_eq!(chunk_at(addr).unwrap().tag, Tag::Ignored);
        assert_eq!(chunk_at(addr).unwrap().size, size);
        assert!(!set_tag(addr.plus(size), Tag::Allocated) || size == 40);
        free(&mut heap, block, Origin::Malloc).unwrap();
        assert!(!set_tag(addr, Tag::Allocated));
    }
    thread_exit(&mut heap);
}

#[test]
fn a_block_that_shares_its_cache_line_goes_home() {
    let _alone = alone();
    let arena =
        |block: NonNull<u8>| lookup::unit(block.addr().get()).unwrap().1.arena.load(Ordering::Relaxed);
    let mut heaps: Vec<_> = (0..16).map(|_| ThreadHeap::new()).collect();
    let blocks: Vec<_> = heaps.iter_mut().map(|heap| allocate(heap, &plain(8)).unwrap()).collect();
    let away = blocks.iter().position(|block| arena(*block) != arena(blocks[0]));
    // On a machine with one CPU there is one arena, and no line to fight for.
    assert_eq!(away.is_some(), central::arenas() > 1);
    if let Some(away) = away {
        free(&mut heaps[away], blocks[0], Origin::Malloc).unwrap();
        assert_eq!(free(&mut heaps[away], blocks[0], Origin::Malloc), Err(Misuse::DoubleFree));
        for _ in 0..1000 {
            let block = allocate(&mut heaps[away], &plain(8)).unwrap();
            assert_ne!(arena(block), arena(blocks[0]));
            free(&mut heaps[away], block, Origin::Malloc).unwrap();
        }
        // Those of a whole line stay with whoever frees them.
        let block = allocate(&mut heaps[0], &plain(64)).unwrap();
        free(&mut heaps[away], block, Origin::Malloc).unwrap();
        assert_eq!(allocate(&mut heaps[away], &plain(64)), Some(block));
    }
    for heap in &mut heaps {
        thread_exit(heap);
    }
}

#[test]
fn blocks_may_be_freed_by_any_thread() {
    let _alone = alone();
    let (send, receive) = mpsc::sync_channel::<(usize, usize, u8)>(1000);
    let receive = Mutex::new(receive);
    let freed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for seed in 1..4u64 {
            let send = send.clone();
            scope.spawn(move || {
                let mut heap = ThreadHeap::new();
                let mut random = Random(seed);
                for _ in 0..20_000 {
                    let size = random.below(2000);
                    let block = allocate(&mut heap, &plain(size)).unwrap().addr().get();
                    let seed = random.next() as u8;
                    fill(block, size, seed);
                    send.send((block, size, seed)).unwrap();
                }
                thread_exit(&mut heap);
            });
        }
        drop(send);
        for _ in 0..2 {
            scope.spawn(|| {
                let mut heap = ThreadHeap::new();
                loop {
                    let next = receive.lock().unwrap().recv();
                    let Ok((at, size, seed)) = next else { break };
                    check(at, size, seed);
                    free(&mut heap, NonNull::new(at as *mut u8).unwrap(), Origin::Malloc).unwrap();
                    freed.fetch_add(1, Ordering::Relaxed);
                    if freed.load(Ordering::Relaxed).is_multiple_of(5000) {
                        thread_exit(&mut heap);
                    }
                }
                thread_exit(&mut heap);
            });
        }
    });
    assert_eq!(freed.into_inner(), 60_000);
}

#[test]
fn a_view_finds_standing_blocks_while_others_allocate() {
    let _alone = alone();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for seed in 1..3 {
            let stop = &stop;
            scope.spawn(move || {
                let mut model = Model::beside_others(seed);
                while !stop.load(Ordering::Relaxed) {
                    model.step(500);
                }
                model.end();
            });
        }
        let mut model = Model::beside_others(77);
        for _ in 0..3000 {
            model.step(1000);
        }
        for _ in 0..100 {
            let view = HeapView::new().unwrap();
            for (at, known) in &model.blocks {
                let id = view.find(Addr::new(*at)).unwrap();
                assert_eq!(view.chunk(id).size, known.request.size.max(1));
            }
        }
        stop.store(true, Ordering::Relaxed);
        model.end();
    });
}

/// The short way that a marker goes, by place and slack, ends where the long one does.
#[test]
fn places_say_what_the_metadata_say() {
    let _alone = alone();
    let mut model = Model::new(5);
    for _ in 0..20 {
        for _ in 0..1000 {
            model.step(2000);
        }
        let view = HeapView::new().unwrap();
        let mut slacks = vec![Slack::NO_CHUNK; view.slots()];
        let mut census = Census::default();
        for (group, slacks) in slacks.as_chunks_mut::<GROUP>().0.iter_mut().enumerate() {
            view.group(group, slacks, &mut census);
        }
        let (mut chunks, mut bytes) = (0, 0);
        view.for_each(&mut |id, chunk| {
            chunks += 1;
            bytes += chunk.size;
            assert_ne!(slacks[id.index()], Slack::NO_CHUNK);
        });
        assert_eq!((census.chunks, census.bytes), (chunks, bytes));
        assert_eq!(slacks.iter().filter(|slack| **slack != Slack::NO_CHUNK).count(), chunks);
        let bounds = view.bounds();
        let around = |at: usize| (0..40).map(move |step| at.wrapping_add(step * step * 7));
        for at in model.blocks.keys().flat_map(|at| around(*at)).chain(around(bounds.start.get())) {
            let addr = Addr::new(at);
            let Some(place) = bounds.contains(addr).then(|| view.place(addr)).flatten() else { continue };
            let slack = slacks[place.id.index()];
            let range = AddrRange::sized(place.base, (place.room as usize).wrapping_sub(slack.bytes()));
            match view.locate(addr) {
                Some((id, _)) if slack == Slack::UNKNOWN => assert_eq!(id, place.id),
                Some(found) => assert_eq!(found, (place.id, range)),
                None => assert!(matches!(slack, Slack::NO_CHUNK | Slack::UNKNOWN) || !range.contains(addr)),
            }
        }
    }
    model.end();
}

#[test]
fn memory_goes_back_to_the_system() {
    let _alone = alone();
    let mut heap = ThreadHeap::new();
    let resident = || {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * crate::arch::page_size()
    };
    for size in [48, 1000, 20_000, 200_000, 8 << 20] {
        let before = resident();
        let count = (256 << 20) / size;
        let mut blocks = Vec::with_capacity(count);
        for _ in 0..count {
            let block = allocate(&mut heap, &plain(size)).unwrap();
            // SAFETY: inside the block.
            unsafe { core::ptr::write_bytes(block.as_ptr(), 1, size) };
            blocks.push(block);
        }
        let kept = blocks.split_off(count * 9 / 10);
        let full = resident() - before;
        for block in blocks {
            free(&mut heap, block, Origin::Malloc).unwrap();
        }
        let left = resident().saturating_sub(before);
        assert!(left < full / 5 + (24 << 20), "{size}: {left} of {full} left");
        for block in kept {
            free(&mut heap, block, Origin::Malloc).unwrap();
        }
        thread_exit(&mut heap);
        trim();
    }
}
