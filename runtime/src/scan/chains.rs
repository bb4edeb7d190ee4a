//! What is known of chains: parts of the heap that were walked without knowing whether anything reaches their start.
//!
//! Each chain has a colour. All that has its colour can be reached from its start; what else can be reached from there is
//! marked already, or belongs to a chain that this one leads to, or is among the words put off for it. So when its start
//! is reached, all of it is.

use crate::base::{Addr, Errno};
use crate::heap::ChunkId;
use crate::mem::MapVec;

/// Index of a chain; [`NONE`] for chunks of no chain.
pub(super) type Color = u8;
pub(super) const NONE: Color = 0;
/// The colour of walkers whose way is known to be reached. No chunk has it: it is marked.
pub(super) const REACHED: Color = Color::MAX;

/// Chains at once, with the one that is nobody's. Each further one halves what is left to somebody, so that a list of
/// millions needs less than two hundred; and a byte a chunk is half of all that marking takes.
const CHAINS: usize = Color::MAX as usize;
/// Links between chains, and words put off, in all.
const LINKS: usize = 4096;
/// Words put off for one chain before it is given up.
const PUT_OFF: u16 = 64;
/// How far back a word that is put off is compared with others.
const SIMILAR: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is known to reach its start.
    Open,
    /// Something does.
    Reached,
    /// Not all that can be reached from its start is known.
    GivenUp,
}

#[derive(Clone, Copy)]
struct Chain {
    start: ChunkId,
    base: Addr,
    state: State,
    put_off: u16,
    chunks: usize,
    /// Bytes of it that could not be read.
    lost: usize,
}

/// What a chunk's colour says to who comes upon it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// No chain has it.
    Free,
    /// It is reached.
    Reached,
    /// It is the start of this chain, which is not reached.
    Start(Color),
    /// It is in the middle of this chain, which is not reached or was given up.
    Middle(Color),
}

/// See the module.
pub(super) struct Chains {
    /// By ordinal.
    colors: MapVec<Color>,
    /// By colour; the first is nobody's.
    chains: MapVec<Chain>,
    spare: MapVec<Color>,
    /// From the first chain to the start of the second.
    links: MapVec<(Color, Color)>,
    put_off: MapVec<(Color, usize)>,
    /// Chains whose start was reached and who do not know it yet.
    due: MapVec<Color>,
}

impl Chains {
    /// None yet, for `slots` ordinals.
    pub(super) fn new(slots: usize) -> Result<Chains, Errno> {
        let mut colors = MapVec::new();
        colors.resize(slots, NONE)?;
        let (mut chains, mut spare) = (MapVec::new(), MapVec::new());
        let (mut links, mut put_off) = (MapVec::new(), MapVec::new());
        chains.reserve(CHAINS)?;
        spare.reserve(CHAINS)?;
        links.reserve(LINKS)?;
        put_off.reserve(LINKS)?;
        let mut due = MapVec::new();
        // Each link is followed once, so that this suffices: see `come`.
        due.reserve(2 * LINKS)?;
        let nobody = Chain {
            start: ChunkId(0),
            base: Addr::NULL,
            state: State::GivenUp,
            put_off: 0,
            chunks: 0,
            lost: 0,
        };
        chains.push(nobody)?;
        Ok(Chains { colors, chains, spare, links, put_off, due })
    }

    /// A chain that starts with a chunk which has no colour. `None` when there are enough.
    pub(super) fn start(&mut self, start: ChunkId, base: Addr) -> Option<Color> {
        let chain = Chain { start, base, state: State::Open, put_off: 0, chunks: 1, lost: 0 };
        let color = match self.spare.pop() {
            Some(color) => color,
            None if self.chains.len() < CHAINS => {
                self.chains.push(chain).ok()?;
                self.chains.len() as Color - 1
            }
            None => return None,
        };
        *self.chains.get_mut(usize::from(color))? = chain;
        *self.colors.get_mut(start.index())? = color;
        Some(color)
    }

    #[inline]
    fn color(&self, id: ChunkId) -> Color {
        self.colors.get(id.index()).copied().unwrap_or(NONE)
    }

    fn chain(&self, color: Color) -> Option<&Chain> {
        self.chains.get(usize::from(color))
    }

    /// What a chunk's colour says.
    #[inline]
    pub(super) fn find(&self, id: ChunkId) -> Finding {
        let color = self.color(id);
        match self.chain(color) {
            _ if color == NONE => Finding::Free,
            Some(chain) if chain.state == State::Reached => Finding::Reached,
            Some(chain) if chain.state == State::Open && chain.start == id => Finding::Start(color),
            _ => Finding::Middle(color),
        }
    }

    /// Gives a chunk without colour to a chain.
    #[inline]
    pub(super) fn extend(&mut self, color: Color, id: ChunkId) {
        if let (Some(slot), Some(chain)) =
            (self.colors.get_mut(id.index()), self.chains.get_mut(usize::from(color)))
        {
            *slot = color;
            chain.chunks += 1;
        }
    }

    /// A chain leads to the start of another.
    pub(super) fn link(&mut self, from: Color, to: Color) {
        if self.links.len() >= LINKS || self.links.push((from, to)).is_err() {
            self.give_up(from);
        }
    }

    /// A chain leads to something that cannot be had for it alone: to be looked at when its start is reached.
    pub(super) fn put_off(&mut self, color: Color, word: usize) {
        let recent = self.put_off.len().saturating_sub(SIMILAR);
        if self.put_off.iter().skip(recent).any(|known| *known == (color, word)) {
            return;
        }
        let Some(chain) = self.chains.get_mut(usize::from(color)) else { return };
        chain.put_off += 1;
        if chain.put_off > PUT_OFF || self.put_off.len() >= LINKS || self.put_off.push((color, word)).is_err()
        {
            self.give_up(color);
        }
    }

    /// Bytes of a chain could not be read.
    pub(super) fn lose(&mut self, color: Color, bytes: usize) {
        if let Some(chain) = self.chains.get_mut(usize::from(color)) {
            chain.lost += bytes;
        }
    }

    fn give_up(&mut self, color: Color) {
        if let Some(chain) = self.chains.get_mut(usize::from(color)) {
            chain.state = State::GivenUp;
        }
    }

    /// True when nobody needs to walk on for this colour.
    #[inline]
    pub(super) fn is_given_up(&self, color: Color) -> bool {
        self.chain(color).is_some_and(|chain| chain.state == State::GivenUp)
    }

    /// Called when a chain's walker has come to an end. A chain of a single chunk that leads nowhere says nothing: its
    /// colour can serve again.
    pub(super) fn end(&mut self, color: Color) {
        let Some(&Chain { start, state: State::Open, put_off: 0, chunks: 1, lost: 0, .. }) =
            self.chain(color)
        else {
            return;
        };
        let is_needed =
            self.links.iter().any(|link| link.0 == color || link.1 == color) || self.due.contains(&color);
        if is_needed || self.spare.push(color).is_err() {
            return;
        }
        if let Some(slot) = self.colors.get_mut(start.index()) {
            *slot = NONE;
        }
    }

    /// A chain's start is reached; [`Chains::settle`] does the rest. False when there is no room for that.
    pub(super) fn come(&mut self, color: Color) -> bool {
        self.due.len() < LINKS && self.due.push(color).is_ok()
    }

    /// Makes chains reached whose start is, and those that they lead to; calls `news` for each, with the bytes of
    /// it that could not be read. `word` gets the words that
    /// were put off for them, and the starts of chains that were given up.
    pub(super) fn settle(&mut self, mut news: impl FnMut(Color, usize), mut word: impl FnMut(usize)) {
        while let Some(color) = self.due.pop() {
            let Some(chain) = self.chains.get_mut(usize::from(color)) else { continue };
            match chain.state {
                State::Reached => continue,
                State::GivenUp => {
                    word(chain.base.get());
                    continue;
                }
                State::Open => chain.state = State::Reached,
            }
            news(color, chain.lost);
            for (_, next) in self.links.iter().filter(|link| link.0 == color) {
                // Room was made for every link.
                let _ = self.due.push(*next);
            }
            self.put_off.iter().filter(|off| off.0 == color).for_each(|off| word(off.1));
        }
    }

    /// A hint that a chunk's colour will be asked for shortly.
    #[inline]
    pub(super) fn prefetch(&self, id: ChunkId) {
        if let Some(color) = self.colors.get(id.index()) {
            crate::arch::prefetch(core::ptr::from_ref(color).addr());
        }
    }

    /// Calls `each` for every chunk of a reached chain.
    pub(super) fn reached(&self, mut each: impl FnMut(ChunkId)) {
        for (index, color) in self.colors.iter().enumerate().filter(|(_, color)| **color != NONE) {
            if self.chain(*color).is_some_and(|chain| chain.state == State::Reached) {
                each(ChunkId(index as u32));
            }
        }
    }
}
