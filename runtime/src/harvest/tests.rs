//! The harvest of the test process itself: its threads publish where they are and wait.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::mpsc;
use std::thread;

use crate::arch::{self, Registers, page_size};
use crate::base::{Addr, AddrRange, Alone};
use crate::heap::{Chunk, ChunkId, Provider, Tag};
use crate::mem::ReadMemory;
use crate::scan::made_up::Heap;
use crate::scan::{Marks, mark};
use crate::sys::{file, memory};

use super::*;

/// Runs a test in a forked child: the world stands still there, since the child has no thread but this one and those
/// that the test makes.
fn alone(test: impl FnOnce()) {
    // SAFETY: the child runs the test and ends by _exit; glibc's fork leaves its malloc usable.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test));
        let status = result.map_or_else(
            |why| {
                let text = why.downcast_ref::<String>().map_or("panic", String::as_str);
                let _ = file::write_all(2, text.as_bytes());
                let _ = file::write_all(2, b"\n");
                1
            },
            |()| 0,
        );
        crate::sys::process::exit_group(status);
    }
    let mut status = 0;
    // SAFETY: waits for the child made above.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0, "the child's status");
}

/// The process' memory without handlers of signals: tests run in parallel.
struct OwnMemory(File);

impl OwnMemory {
    fn open() -> OwnMemory {
        OwnMemory(File::open("/proc/self/mem").unwrap())
    }
}

impl ReadMemory for OwnMemory {
    fn read_words(&self, from: Addr, into: &mut [usize]) -> usize {
        // On the stack below all that is live: a buffer in the heap would keep what it has read.
        let mut bytes = [0; 4096];
        let len = bytes.len().min(into.len() * 8);
        let got = self.0.read_at(&mut bytes[..len], from.get() as u64).unwrap_or(0) / 8;
        for (word, bytes) in into.iter_mut().zip(bytes.chunks_exact(8)).take(got) {
            *word = usize::from_ne_bytes(bytes.try_into().unwrap());
        }
        got
    }
}

/// What the library says of itself.
pub(super) fn layout() -> Layout {
    // SAFETY: dlsym of a name; null says that there is none.
    let symbol = |name: &core::ffi::CStr| unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    let mut size = 0usize;
    let mut align = 0usize;
    let info = symbol(c"_dl_get_tls_static_info");
    if !info.is_null() {
        // SAFETY: `void _dl_get_tls_static_info(size_t *, size_t *)` (sysdeps/generic/ldsodefs.h).
        let info: extern "C" fn(&mut usize, &mut usize) = unsafe { core::mem::transmute(info) };
        info(&mut size, &mut align);
    }
    Layout::from_symbols(
        |name, words| {
            let at = symbol(name).cast::<u32>();
            for (i, word) in words.iter_mut().enumerate().take_while(|_| !at.is_null()) {
                // SAFETY: descriptors are arrays of three words, sizes are single words followed by other data.
                *word = unsafe { at.add(i).read() };
            }
            !at.is_null()
        },
        size,
        Addr::of(symbol(c"_rtld_global")),
    )
}

fn here(state: State) -> Thread<'static> {
    let sp = arch::stack_pointer();
    let registers = Registers::of_caller(&Default::default(), sp, arch::thread_pointer());
    Thread {
        tid: crate::sys::process::tid().get(),
        live_from: Addr::new(sp),
        thread_pointer: Addr::new(arch::thread_pointer()),
        registers: Box::leak(Box::new(registers)),
        extended: &[],
        state,
    }
}

static UNKNOWN: Headers = Headers::none();

fn input<'a>(threads: &'a [Thread<'a>], layout: &'a Layout) -> Input<'a> {
    Input {
        switches: Switches::ALL,
        pid: crate::sys::process::pid(),
        threads,
        regions: &[],
        in_transit: &[],
        kernel: &[],
        kept: &[],
        exclude: &[],
        mappings: &[],
        on_first_stack: Addr::NULL,
        may_ask: false,
        layout,
        maps: file::open(c"/proc/self/maps", libc::O_RDONLY, 0),
        pagemap: file::open(c"/proc/self/pagemap", libc::O_RDONLY, 0),
        headers: &UNKNOWN,
        faults_elsewhere: false,
        asleep: false,
        early: false,
    }
}

/// A heap of one chunk of a page, whose address is nowhere in the process: it is kept encrypted.
struct Secret {
    hidden: usize,
}

impl Provider for Secret {
    fn bounds(&self) -> AddrRange {
        AddrRange::sized(Addr::new(std::hint::black_box(self.hidden) ^ KEY), page_size())
    }

    fn ranges(&self, each: &mut dyn FnMut(AddrRange)) {
        each(self.bounds());
    }

    fn slots(&self) -> usize {
        1
    }

    fn find(&self, addr: Addr) -> Option<ChunkId> {
        self.bounds().contains(addr).then_some(ChunkId(0))
    }

    fn chunk(&self, _: ChunkId) -> Chunk {
        let (base, stack) = (self.bounds().start, crate::trace::StackId::default());
        Chunk {
            base,
            size: page_size(),
            stack,
            tag: Tag::Allocated,
            origin: Default::default(),
            age: 0,
            scope: Default::default(),
        }
    }

    fn live(&self, id: ChunkId) -> Option<AddrRange> {
        (id == ChunkId(0)).then(|| self.bounds())
    }

    fn for_each(&self, each: &mut dyn FnMut(ChunkId, Chunk)) {
        each(ChunkId(0), self.chunk(ChunkId(0)));
    }
}

impl Secret {
    /// The address is made and hidden in a frame that is dead afterwards.
    #[inline(never)]
    fn new() -> Secret {
        // Far from where the kernel would map anything: no stale pointer of somebody else's has such a value.
        let hint = Addr::new(0x6000_0000_0000);
        let start = memory::map_anonymous(hint, page_size(), libc::PROT_READ | libc::PROT_WRITE, 0).unwrap();
        Secret { hidden: std::hint::black_box(start.get() ^ KEY) }
    }

    /// A pointer to the chunk that only the caller has in memory, however the compiler copies: it stays encrypted in
    /// everything but the place it is stored to.
    fn store(&self, to: *mut usize) {
        // SAFETY: a word of the test's.
        unsafe { crate::arch::store_revealed(to, self.hidden(), KEY) };
    }

    fn hidden(&self) -> usize {
        self.hidden ^ 64
    }

    /// Is it reached, strongly and weakly.
    fn reached(&self, input: Input<'_>) -> (bool, bool) {
        let memory = OwnMemory::open();
        let harvest = collect(input, self, &memory).unwrap();
        let mut marks = Marks::new(self, &Alone).unwrap();
        mark(self, &memory, &harvest, &Alone, &mut marks).unwrap();
        (marks.strong(ChunkId(0)), marks.weak(ChunkId(0)))
    }
}

const KEY: usize = 0x5a5a_5a5a_5a5a_5a5a;

fn map(bytes: usize) -> usize {
    memory::map_anonymous(Addr::NULL, bytes, libc::PROT_READ | libc::PROT_WRITE, 0).unwrap().get()
}

fn kinds(harvest: &Harvest, at: usize) -> Vec<(RootKind, i32)> {
    let at = Addr::new(at);
    harvest.roots.iter().filter(|root| root.range.contains(at)).map(|root| (root.kind, root.tid)).collect()
}

static mut GLOBAL: [usize; 100] = [1; 100];
static mut ZEROED: [usize; 5000] = [0; 5000];

std::thread_local! {
    static LOCAL: core::cell::Cell<[usize; 10]> = const { core::cell::Cell::new([0; 10]) };
}

#[test]
fn the_layout_describes_this_library() {
    alone(|| {
        let layout = layout();
        if layout.specific.is_none() {
            return; // Not glibc, or static: the fallback.
        }
        assert!(layout.static_tls > 0 && layout.control_block > 500);
        assert_eq!(layout.specific.unwrap().count, 32);
        assert_eq!(layout.specific.unwrap().block_bytes, 512);
        assert!(layout.lists.is_some());
        let local = LOCAL.with(|local| local.as_ptr().addr());
        assert!(layout.static_block(Addr::new(arch::thread_pointer())).contains(Addr::new(local)));
    });
}

#[test]
fn data_of_this_program_and_stack_and_tls_of_its_threads_are_roots_of_their_kinds() {
    alone(|| {
        let layout = layout();
        let (send, receive) = mpsc::channel();
        let (done, wait) = mpsc::channel::<()>();
        let other = thread::spawn(move || {
            let local = 7usize;
            let tls = LOCAL.with(|l| l.as_ptr().addr());
            send.send((here(State::Blocked), (&raw const local).addr(), tls)).unwrap();
            let _ = wait.recv();
            std::hint::black_box(&local);
        });
        let (blocked, other_local, other_tls) = receive.recv().unwrap();
        let local = 7usize;
        let me = here(State::Asking);
        let threads = [me, blocked];
        let harvest = collect(input(&threads, &layout), &Heap::new(1), &OwnMemory::open()).unwrap();
        let kinds = |at: usize| kinds(&harvest, at);
        assert_eq!(kinds((&raw const GLOBAL).addr()), [(RootKind::Globals, 0)]);
        assert_eq!(kinds((&raw const ZEROED).addr() + 30_000), [(RootKind::Globals, 0)]);
        assert_eq!(kinds((&raw const local).addr()), [(RootKind::Stack, me.tid)]);
        assert_eq!(kinds(other_local), [(RootKind::Stack, blocked.tid)]);
        assert_eq!(kinds(other_tls), [(RootKind::Tls, blocked.tid)]);
        assert_eq!(kinds(LOCAL.with(|l| l.as_ptr().addr())), [(RootKind::Tls, me.tid)]);
        // Below the stack pointers: dead, and no node.
        for thread in &threads {
            let below = thread.live_from.get() - 10_000;
            assert_eq!(kinds(below), []);
            assert_eq!(harvest.run_at(below), None);
        }
        assert_eq!(harvest.notes, Notes { presence: harvest.notes.presence, ..Notes::default() });
        done.send(()).unwrap();
        other.join().unwrap();
    });
}

#[test]
fn a_pointer_only_in_thread_local_storage_is_found_unless_switched_off() {
    alone(|| {
        let layout = layout();
        let secret = Secret::new();
        LOCAL.with(|local| secret.store(local.as_ptr().cast()));
        let threads = [here(State::Asking)];
        let reached = secret.reached(input(&threads, &layout));
        let off = Switches { tls: false, ..Switches::ALL };
        let without = secret.reached(Input { switches: off, ..input(&threads, &layout) });
        assert_eq!((reached, without), ((true, false), (false, false)));
    });
}

#[test]
fn thread_specific_values_are_found_for_low_and_high_keys_unless_switched_off() {
    alone(|| {
        let layout = layout();
        let mut keys = [0; 40];
        for key in &mut keys {
            // SAFETY: a key of the test's, without destructor.
            assert_eq!(unsafe { libc::pthread_key_create(key, None) }, 0);
        }
        assert!(keys[39] >= 32);
        for key in [keys[0], keys[39]] {
            let secret = Secret::new();
            set_specific(key, secret.hidden());
            let threads = [here(State::Asking)];
            // Blocks of high keys are calloc'ed, and the process' malloc is not ours: the second level is a node.
            let reached = secret.reached(input(&threads, &layout));
            assert_eq!(reached, (true, false), "key {key}");
            if (key as usize) < 32 {
                let off = Switches { tls: false, ..Switches::ALL };
                let without = secret.reached(Input { switches: off, ..input(&threads, &layout) });
                assert_eq!(without, (false, false), "key {key}");
            }
            // SAFETY: as above.
            unsafe { libc::pthread_setspecific(key, core::ptr::null()) };
        }
    });
}

/// The value passes through this frame only, which is dead when the caller goes on.
#[inline(never)]
fn set_specific(key: libc::pthread_key_t, hidden: usize) {
    let value = core::ptr::without_provenance(std::hint::black_box(hidden) ^ KEY);
    // SAFETY: a key of the test's; a value may be anything.
    assert_eq!(unsafe { libc::pthread_setspecific(key, value) }, 0);
}

#[test]
fn a_mapping_is_weak_by_itself_and_strong_when_something_points_into_it() {
    alone(|| {
        let layout = layout();
        let secret = Secret::new();
        let threads = [here(State::Asking)];
        // 16 pages between closed ones, a guard in their middle: one node.
        let pages = map(18 * page_size());
        for closed in [0, 8, 17] {
            let page = AddrRange::sized(Addr::new(pages + closed * page_size()), page_size());
            // SAFETY: the test's own mapping.
            unsafe { memory::protect(page, libc::PROT_NONE) }.unwrap();
        }
        secret.store(core::ptr::with_exposed_provenance_mut(pages + 12 * page_size() + 16));
        let into_it = pages + 3 * page_size() + 5;
        let hidden = into_it ^ KEY;
        let before = secret.reached(input(&threads, &layout));
        let words = [(0, std::hint::black_box(hidden) ^ KEY)];
        let after = secret.reached(Input { in_transit: &words, ..input(&threads, &layout) });
        assert!(before == (false, true) || before == (true, false), "{before:?}");
        assert_eq!(after, (true, false));
        let off = Switches { mappings: false, ..Switches::ALL };
        let without = secret.reached(Input { switches: off, in_transit: &words, ..input(&threads, &layout) });
        assert_eq!(without, (false, false));
    });
}

#[test]
fn a_region_is_a_root_unless_switched_off() {
    alone(|| {
        let layout = layout();
        let secret = Secret::new();
        let page = map(page_size());
        secret.store(core::ptr::with_exposed_provenance_mut(page + 8));
        let regions = [AddrRange::sized(Addr::new(page), 16)];
        let threads = [here(State::Asking)];
        let reached = secret.reached(Input { regions: &regions, ..input(&threads, &layout) });
        assert_eq!(reached, (true, false));
    });
}

#[test]
fn registers_prove_by_where_the_thread_stands() {
    alone(|| {
        let layout = layout();
        let secret = Secret::new();
        // rbx and x19 are kept by calls, rdi and x5 are not.
        let [kept, clobbered] = if cfg!(target_arch = "x86_64") { [5, 14] } else { [19, 5] };
        for (state, word, expected) in [
            (State::Running, kept, (true, false)),
            (State::Running, clobbered, (true, false)),
            (State::Blocked, kept, (true, false)),
            (State::Blocked, clobbered, (false, true)),
            (State::Lost, clobbered, (false, true)),
        ] {
            let mut thread = here(state);
            let mut registers = *thread.registers;
            registers.0[word] = std::hint::black_box(secret.hidden()) ^ KEY;
            thread.registers = Box::leak(Box::new(registers));
            let threads = Box::new([thread]);
            // The copy of the registers in this frame and in the box is not looked at: only the record is.
            let off = Switches { stacks: false, mappings: false, globals: false, ..Switches::ALL };
            let reached = secret.reached(Input { switches: off, ..input(&threads[..], &layout) });
            assert_eq!(reached, expected, "{state:?} {word}");
        }
    });
}

#[test]
fn pages_that_nobody_touched_are_not_read_and_do_not_become_resident() {
    alone(|| {
        const PAGES: usize = 64 * 1024;
        let start = map(PAGES * page_size());
        for page in [5, 6, 40_000] {
            // SAFETY: the test's own mapping.
            unsafe { core::ptr::with_exposed_provenance_mut::<usize>(start + page * page_size()).write(1) };
        }
        let layout = layout();
        let threads = [here(State::Asking)];
        let whole = AddrRange::sized(Addr::new(start), PAGES * page_size());
        let expected: Vec<AddrRange> = [(5, 2), (40_000, 1)]
            .map(|(page, count)| AddrRange::sized(Addr::new(start + page * page_size()), count * page_size()))
            .to_vec();
        let harvest = collect(input(&threads, &layout), &Heap::new(1), &OwnMemory::open()).unwrap();
        assert_eq!(harvest.resident.within(whole).collect::<Vec<_>>(), expected);
        assert!(harvest.run_at(start).is_some());
    });
}
