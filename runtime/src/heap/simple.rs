//! A first heap, to run the pipeline on real programs: one lock, one header a block, no reuse.
#![allow(missing_docs, unused, clippy::all)]
use super::*;
use crate::base::lock::Lock;
use crate::base::*;
use crate::mem::MapVec;
use crate::sys::memory;
use core::ptr::NonNull;
pub struct ThreadHeap {
    x: u8,
}
impl ThreadHeap {
    pub const fn new() -> Self {
        ThreadHeap { x: 0 }
    }
    pub fn in_transit(&self) -> [usize; 2] {
        [0; 2]
    }
}
#[derive(Debug)]
pub enum Misuse {
    DoubleFree,
    NotOurs,
    Interior,
    Mismatch,
}
pub struct Request {
    pub size: usize,
    pub align: usize,
    pub zeroed: bool,
    pub origin: Origin,
    pub tag: Tag,
    pub stack: crate::trace::StackId,
}
#[derive(Clone, Copy)]
struct Seg {
    base: usize,
    end: usize,
    top: usize,
}
struct G {
    segs: MapVec<Seg>,
    free: [usize; 64],
}
static G_: Lock<G> = Lock::new(G { segs: MapVec::new(), free: [0; 64] });
const MAGIC: u32 = 0x57a2d571;
#[repr(C)]
struct Head {
    magic: u32,
    live: u8,
    tag: u8,
    class: u8,
    pad: u8,
    stack: u32,
    pad2: u32,
    size: usize,
    base: usize,
}
fn head(p: usize) -> *mut Head {
    (p - 32) as *mut Head
}
fn ours(g: &G, p: usize) -> bool {
    g.segs.iter().any(|s| p >= s.base + 32 && p < s.top) && unsafe { (*head(p)).magic == MAGIC }
}
pub fn allocate(_: &mut ThreadHeap, r: &Request) -> Option<NonNull<u8>> {
    if r.size > 1 << 46 {
        return None;
    }
    let extra = if r.align > 16 { r.align } else { 0 };
    let need = (r.size.max(1) + 32 + extra).next_power_of_two().max(64);
    let class = need.trailing_zeros() as usize;
    let mut g = G_.lock();
    let block = if g.free[class] != 0 {
        let b = g.free[class];
        g.free[class] = unsafe { *((b + 48) as *const usize) };
        b
    } else {
        let fit = g.segs.iter_mut().find(|s| s.end - s.top >= need);
        match fit {
            Some(s) => {
                let b = s.top;
                s.top += need;
                b
            }
            None => {
                let len = need.max(4 << 20);
                let b = memory::map_anonymous(Addr::NULL, len, 3, 0).ok()?.get();
                g.segs.push(Seg { base: b, end: b + len, top: b + need }).ok()?;
                b
            }
        }
    };
    let p = (block + 32 + extra.saturating_sub(1)) & !(r.align.max(16) - 1);
    unsafe {
        if r.zeroed {
            core::ptr::write_bytes(p as *mut u8, 0, r.size);
        }
        *(block as *mut usize) = need;
        core::ptr::write(
            head(p),
            Head {
                magic: MAGIC,
                live: 1,
                tag: matches!(r.tag, Tag::Ignored) as u8,
                class: class as u8,
                pad: 0,
                stack: r.stack.0,
                pad2: 0,
                size: r.size.max(1),
                base: block,
            },
        );
        if p - 32 != block {
            core::ptr::write(block as *mut [usize; 2], [need, p]);
        }
    }
    NonNull::new(p as *mut u8)
}
pub fn free(_: &mut ThreadHeap, p: NonNull<u8>, _: Origin) -> Result<(), Misuse> {
    let p = p.as_ptr() as usize;
    let mut g = G_.lock();
    if !ours(&g, p) {
        return Err(Misuse::NotOurs);
    }
    let h = unsafe { &mut *head(p) };
    if h.live == 0 {
        return Err(Misuse::DoubleFree);
    }
    h.live = 0;
    let (class, base) = (h.class as usize, h.base);
    if class < 28 {
        unsafe { *((base + 48) as *mut usize) = g.free[class] };
        g.free[class] = base;
    }

    Ok(())
}
pub fn reallocate(t: &mut ThreadHeap, p: NonNull<u8>, r: &Request) -> Result<Option<NonNull<u8>>, Misuse> {
    let old = usable_size(p);
    if old == 0 {
        return Err(Misuse::NotOurs);
    }
    let Some(n) = allocate(t, r) else { return Ok(None) };
    unsafe { core::ptr::copy_nonoverlapping(p.as_ptr(), n.as_ptr(), old.min(r.size)) };
    free(t, p, Origin::Malloc)?;
    Ok(Some(n))
}
pub fn usable_size(p: NonNull<u8>) -> usize {
    let p = p.as_ptr() as usize;
    let g = G_.lock();
    if ours(&g, p) { unsafe { (*head(p)).size } } else { 0 }
}
pub fn set_tag(a: Addr, _: Tag) -> bool {
    let g = G_.lock();
    if ours(&g, a.get()) {
        unsafe { (*head(a.get())).tag = 1 };
        true
    } else {
        false
    }
}
pub fn trim() -> bool {
    false
}
pub struct Statistics {
    pub in_use: usize,
    pub small_mapped: usize,
    pub large_mapped: usize,
    pub large_blocks: usize,
}
pub fn statistics() -> Statistics {
    Statistics { in_use: 0, small_mapped: 0, large_mapped: 0, large_blocks: 0 }
}
pub fn thread_exit(_: &mut ThreadHeap) {}
pub fn before_fork() {
    core::mem::forget(G_.lock())
}
pub fn after_fork_in_parent() {
    unsafe { G_.force_unlock() }
}
pub fn after_fork_in_child() {
    unsafe { G_.force_unlock() }
}
pub struct HeapView {
    chunks: MapVec<(usize, usize, u32, u8)>,
    segs: MapVec<Seg>,
}
impl HeapView {
    pub fn new() -> core::result::Result<HeapView, Errno> {
        let g = unsafe { &*G_.as_mut_ptr() };
        let mut v = HeapView { chunks: MapVec::new(), segs: MapVec::new() };
        for s in g.segs.iter() {
            v.segs.push(*s)?;
            let mut b = s.base;
            while b < s.top {
                let h = unsafe { &*(b as *const Head) };
                let (n, p) = if h.magic == MAGIC && h.base == b {
                    (1usize << h.class, b + 32)
                } else {
                    let w = unsafe { *(b as *const [usize; 2]) };
                    (w[0], w[1])
                };
                let h = unsafe { &*head(p) };
                if h.live == 1 {
                    v.chunks.push((p, h.size, h.stack, h.tag))?;
                }
                b += n;
            }
        }
        v.chunks.sort_unstable();
        Ok(v)
    }
}
impl Provider for HeapView {
    fn bounds(&self) -> AddrRange {
        let mut r = AddrRange::new(Addr::new(usize::MAX), Addr::NULL);
        for s in self.segs.iter() {
            r.start = r.start.min(Addr::new(s.base));
            r.end = r.end.max(Addr::new(s.end));
        }
        r
    }
    fn slots(&self) -> usize {
        self.chunks.len()
    }
    fn find(&self, addr: Addr) -> Option<ChunkId> {
        let i = self.chunks.partition_point(|c| c.0 <= addr.get()).checked_sub(1)?;
        let c = self.chunks[i];
        (addr.get() < c.0 + c.1).then_some(ChunkId(i as u32))
    }
    fn chunk(&self, id: ChunkId) -> Chunk {
        let c = self.chunks[id.index()];
        Chunk {
            base: Addr::new(c.0),
            size: c.1,
            stack: crate::trace::StackId(c.2),
            tag: if c.3 == 1 { Tag::Ignored } else { Tag::Allocated },
            origin: Origin::Malloc,
        }
    }
    fn for_each(&self, each: &mut dyn FnMut(ChunkId, Chunk)) {
        for i in 0..self.chunks.len() {
            let id = ChunkId(i as u32);
            each(id, self.chunk(id))
        }
    }
    fn ranges(&self, each: &mut dyn FnMut(AddrRange)) {
        for s in self.segs.iter() {
            each(AddrRange::new(Addr::new(s.base), Addr::new(s.end)))
        }
    }
}
