//! Several tasks for one piece of work: the seam between what can be done in parallel and who supplies the tasks (clones
//! of the helper in the stopped world, threads in a test, nobody).

/// Supplies tasks.
pub trait Workers {
    /// How many may work at once, the caller included: at least 1.
    fn count(&self) -> usize;

    /// Calls `work` with 0 in the caller, and meanwhile with 1, 2, ... below [`Workers::count`] in tasks of their own.
    /// Returns when all have come back. A task that cannot be made is no error: `work` must do with fewer.
    fn run(&self, work: &(dyn Fn(usize) + Sync)) -> Result<(), WorkerDied>;

    /// Called again and again by a task that waits for the others inside [`Workers::run`]: lets a little time pass. An
    /// error says that one of them is no more, and will never finish.
    fn rest(&self) -> Result<(), WorkerDied>;
}

/// A task died inside its work, which is therefore not done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WorkerDied;

/// The caller alone.
pub struct Alone;

impl Workers for Alone {
    fn count(&self) -> usize {
        1
    }

    fn run(&self, work: &(dyn Fn(usize) + Sync)) -> Result<(), WorkerDied> {
        work(0);
        Ok(())
    }

    fn rest(&self) -> Result<(), WorkerDied> {
        Ok(())
    }
}
