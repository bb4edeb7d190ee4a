//! Questions about one object: who keeps it alive, who points to it.

use crate::arch::CallerFrame;
use crate::base::Addr;
use crate::explain::{Hop, Paths, frames, referrers};
use crate::heap::{Chunk, HeapView, Provider};
use crate::init;
use crate::mem::{MapVec, ProcessMemory, UpTo, WithFile};
use crate::stop::World;

use super::analysis::{self, Failure};
use super::doubt::{doubts, forms};
use super::patience::Patience;
use super::remarks::Remarks;
use super::stopped::{Prepared, Way, in_stopped_world};
use super::turn::Turn;
use super::{Occasion, refused};

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Question {
    /// The shortest chain from a root to the object, from the root on.
    Chain,
    /// Words that point to the object.
    Referrers,
}

/// What is known of an object.
pub struct Answer {
    /// The object; `None` where the address lies in none.
    pub object: Option<Chunk>,
    /// The first words, as many as were asked for.
    pub hops: MapVec<Hop>,
    /// How many there are.
    pub count: usize,
    /// Something reaches it. Of [`Question::Referrers`]: somebody points to it.
    pub held: bool,
}

/// Stops the world and looks. `None` when that was not possible; a line says why.
pub fn ask(question: Question, object: Addr, limit: usize, frame: &CallerFrame) -> Option<Answer> {
    let occasion = Occasion::RECOVERABLE;
    let Some(_turn) = Turn::wait() else {
        refused(&occasion);
        return None;
    };
    let mut remarks = Remarks::new();
    let mut work = |world: &World,
                    memory: &ProcessMemory<'_>,
                    prepared: &Prepared<'_>|
     -> Result<Answer, Failure> { look(question, object, limit, world, memory, prepared) };
    let answer = in_stopped_world(
        &occasion,
        frame,
        init::options(),
        Way::Stop { extended_later: false },
        &mut remarks,
        &mut |_, _| {},
        &mut work,
    );
    if let Some(why) = remarks.failure() {
        crate::report::say(format_args!("{object:#x} could not be explained: {why}"));
    }
    answer
}

fn look(
    question: Question,
    object: Addr,
    limit: usize,
    world: &World,
    memory: &ProcessMemory<'_>,
    prepared: &Prepared<'_>,
) -> Result<Answer, Failure> {
    let patience = Patience::new(init::options());
    let heap = HeapView::new()?;
    let memory = &WithFile::new(memory, world.proc().open_of_memory("mem").ok());
    let mut answer = Answer { object: None, hops: MapVec::new(), count: 0, held: false };
    let Some(id) = heap.find(object) else { return Ok(answer) };
    answer.object = Some(heap.chunk(id));
    let (harvest, _) = analysis::collect(world, memory, &heap, prepared, init::options(), None)?;
    let memory = &UpTo::new(memory, patience.survey());
    match question {
        Question::Referrers => {
            (answer.hops, answer.count) =
                referrers::find(&heap, memory, &harvest, forms(init::options()), id, limit)?;
            answer.held = answer.count > 0;
        }
        Question::Chain => {
            let paths = Paths::new(&heap, memory, &harvest, doubts(init::options()))?;
            answer.held = paths.reaches(id);
            // The chain is known from the object on: of its last hops a ring.
            let (mut ring, mut full) = (MapVec::new(), Ok(()));
            paths.up(&heap, memory, &harvest, id, &mut |hop| {
                match answer.count.checked_rem(limit).map(|slot| ring.get_mut(slot)) {
                    Some(Some(slot)) => *slot = *hop,
                    Some(None) if full.is_ok() => full = ring.push(*hop),
                    _ => {}
                }
                answer.count += 1;
            });
            full?;
            for back in 1..=ring.len() {
                if let Some(hop) = ring.get((answer.count - back) % ring.len()) {
                    answer.hops.push(*hop)?;
                }
            }
        }
    }
    if memory.passed() {
        return Err(Failure::Time);
    }
    frames::name(world, &mut answer.hops);
    Ok(answer)
}
