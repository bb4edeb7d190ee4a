//! What the driver asks of the C side, which alone can call libc and the program.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use spin::Once;

use crate::harvest::{Layout, libc_layout::Vector};

static UPDATE_MODULES: Once<fn()> = Once::new();
static TURNED_OFF: Once<fn() -> bool> = Once::new();
static DEFAULT_SUPPRESSIONS: Once<fn() -> Option<&'static [u8]>> = Once::new();

/// `hook` enters the loaded modules (`trace::modules::update`). Called before each check, while all threads run.
pub fn on_module_update(hook: fn()) {
    UPDATE_MODULES.call_once(|| hook);
}

/// `hook` asks the program whether checks are off (`__lsan_is_turned_off`). Called before each check.
pub fn on_turned_off(hook: fn() -> bool) {
    TURNED_OFF.call_once(|| hook);
}

/// `hook` asks the program for its suppressions (`__lsan_default_suppressions`). Called after a check.
pub fn on_default_suppressions(hook: fn() -> Option<&'static [u8]>) {
    DEFAULT_SUPPRESSIONS.call_once(|| hook);
}

static READ_LAYOUT: Once<fn() -> Layout> = Once::new();
static LAYOUT: Once<Layout> = Once::new();
static UNKNOWN_LAYOUT: Layout = Layout::fallback(0, Vector::Entries(16));

/// Where the C library keeps what a thread control block leads to.
pub fn set_layout(layout: Layout) {
    LAYOUT.call_once(|| layout);
}

/// `hook` finds that out, where it cannot be known at the start. Called before the first check, while all threads run.
pub fn on_layout(hook: fn() -> Layout) {
    READ_LAYOUT.call_once(|| hook);
}

pub(super) fn read_layout() {
    if let Some(hook) = READ_LAYOUT.get() {
        LAYOUT.call_once(hook);
    }
}

/// What [`read_layout`] got.
pub(super) fn layout() -> &'static Layout {
    LAYOUT.get().unwrap_or(&UNKNOWN_LAYOUT)
}

static EXIT: AtomicUsize = AtomicUsize::new(0);

/// The address of exit(3).
pub fn set_exit_function(address: usize) {
    EXIT.store(address, Relaxed);
}

pub(super) fn exit_function() -> usize {
    EXIT.load(Relaxed)
}

pub(super) fn update_modules() {
    if let Some(hook) = UPDATE_MODULES.get() {
        hook();
    }
}

pub(super) fn turned_off() -> bool {
    TURNED_OFF.get().is_some_and(|hook| hook())
}

pub(super) fn default_suppressions() -> Option<&'static [u8]> {
    DEFAULT_SUPPRESSIONS.get().and_then(|hook| hook())
}
