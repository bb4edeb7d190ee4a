//! Blocking transfers: write(2), writev(2), send(2), sendmsg(2), sendfile(2), and recv(2) with MSG_WAITALL. And read(2), which
//! may wait on a socket with a timeout ([`crate::sockets`]).
//!
//! A check that falls into one that has moved a part makes it return that part: the kernel cannot take it up again. The
//! stop says so in the [`Call`] that lies around it, and the rest is moved here. A transfer that a handler of the program
//! has cut short too stays short, as POSIX has it.
//!
//! In the shared library only (exports-shared.txt): in a static program there is no other function to go on in.
//!
//! The functions are cancellation points as the C library's are: cancellation unwinds through these frames, which own
//! nothing.

use core::ffi::{c_int, c_void};

use libc::{iovec, msghdr, sockaddr, socklen_t};
use standstill_runtime::stop::call::Call;
use standstill_runtime::sys::invoke::syscall;

use crate::malloc::{errno, set_errno};
use crate::next::{absent, nexts};
use crate::sleeping::sleeping;
use crate::sockets;

nexts! {
    real_read: unsafe extern "C" fn(c_int, *mut c_void, usize) -> isize = c"read";
    real_write: unsafe extern "C" fn(c_int, *const c_void, usize) -> isize = c"write";
    real_writev: unsafe extern "C" fn(c_int, *const iovec, c_int) -> isize = c"writev";
    real_send: unsafe extern "C" fn(c_int, *const c_void, usize, c_int) -> isize = c"send";
    real_sendto: unsafe extern "C" fn(c_int, *const c_void, usize, c_int, *const sockaddr, socklen_t) -> isize = c"sendto";
    real_sendmsg: unsafe extern "C" fn(c_int, *const msghdr, c_int) -> isize = c"sendmsg";
    real_sendfile: unsafe extern "C" fn(c_int, c_int, *mut i64, usize) -> isize = c"sendfile";
    real_recv: unsafe extern "C" fn(c_int, *mut c_void, usize, c_int) -> isize = c"recv";
    real_recvfrom: unsafe extern "C" fn(c_int, *mut c_void, usize, c_int, *mut sockaddr, *mut socklen_t) -> isize = c"recvfrom";
    real_recvmsg: unsafe extern "C" fn(c_int, *mut msghdr, c_int) -> isize = c"recvmsg";
}

/// The functions get flags to be added, 0 or MSG_DONTWAIT (sockets.rs): what has no flags becomes a call that has, which
/// moves the same bytes of a socket.
///
/// Makes the call `first`; where a stop cut it short, goes on until all is moved or the kernel gives less of its own.
///
/// `wanted` is asked for after a call has moved something, so that memory that the program names is not read before the
/// kernel has. `rest` moves a piece from a position on: how many bytes it asked for, and the result.
#[inline]
fn whole(
    number: libc::c_long,
    fd: c_int,
    first: impl FnMut(c_int) -> isize,
    wanted: impl FnOnce() -> usize,
    rest: impl FnMut(usize, c_int) -> (usize, isize),
) -> isize {
    let call = Call::transfer(number, fd as usize, usize::MAX);
    let events = direction(number);
    let waits = (fd, events, sockets::deadline(fd, events));
    let moved = sockets::inside(&call, number, waits, first);
    if moved > 0 && call.was_cut() {
        go_on(&call, number, waits, moved as usize, wanted(), rest)
    } else {
        moved
    }
}

/// What a descriptor must be ready for when this call waits.
fn direction(number: libc::c_long) -> libc::c_short {
    if matches!(number, libc::SYS_recvfrom | libc::SYS_recvmsg) { libc::POLLIN } else { libc::POLLOUT }
}

/// Receives in one go.
#[inline]
fn received(number: libc::c_long, fd: c_int, make: impl FnMut(c_int) -> isize) -> isize {
    let waits = (fd, libc::POLLIN, sockets::deadline(fd, libc::POLLIN));
    sockets::inside(&Call::untimed(number, fd as usize), number, waits, make)
}

#[cold]
fn go_on(
    call: &Call,
    number: libc::c_long,
    waits: (c_int, libc::c_short, Option<u64>),
    mut moved: usize,
    wanted: usize,
    mut rest: impl FnMut(usize, c_int) -> (usize, isize),
) -> isize {
    let error = errno();
    while moved < wanted {
        let mut asked = 0;
        let more = sockets::inside(call, number, waits, |flags| {
            let more;
            (asked, more) = rest(moved, flags);
            more
        });
        let cut = call.was_cut();
        if more <= 0 {
            break;
        }
        moved += more as usize;
        if (more as usize) < asked && !cut {
            break;
        }
    }
    set_errno(error);
    moved as isize
}

/// As the system call.
///
/// # Safety
///
/// As in C.
pub(crate) unsafe extern "C" fn read(fd: c_int, into: *mut c_void, count: usize) -> isize {
    let Some(real) = real_read() else { return absent() };
    // SAFETY: the caller's arguments, passed on.
    let call = || unsafe { real(fd, into, count) };
    received(libc::SYS_read, fd, |flags| if flags == 0 { call() } else { receive_now(fd, into, count) })
}

/// As the system call.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(fd: c_int, from: *const c_void, count: usize) -> isize {
    let Some(real) = real_write() else { return absent() };
    // SAFETY: the caller's arguments, or what is left of them.
    let write = |from, count| unsafe { real(fd, from, count) };
    let at = |done: usize, flags| {
        let (from, left) = (from.wrapping_byte_add(done), count - done);
        if flags == 0 { write(from, left) } else { send_now(fd, from, left) }
    };
    whole(libc::SYS_write, fd, |flags| at(0, flags), || count, |done, flags| (count - done, at(done, flags)))
}

/// As the system call.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn writev(fd: c_int, vector: *const iovec, count: c_int) -> isize {
    let Some(real) = real_writev() else { return absent() };
    // SAFETY: the caller's arguments.
    let first = || unsafe { real(fd, vector, count) };
    // SAFETY: the kernel has read the vector by now.
    let pieces = || unsafe { pieces(vector, count as usize) };
    let piece = |done, flags| {
        let piece = piece_at(pieces(), done);
        // SAFETY: a part of the caller's memory.
        let write = || unsafe { real(fd, &piece, 1) };
        let more = if flags == 0 { write() } else { send_now(fd, piece.iov_base, piece.iov_len) };
        (piece.iov_len, more)
    };
    // The first piece alone: what follows cannot be moved without waiting either, or the call is short.
    let first = |flags| if flags == 0 { first() } else { piece(0, flags).1 };
    whole(libc::SYS_writev, fd, first, || total(pieces()), piece)
}

/// As the system call.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn send(fd: c_int, from: *const c_void, count: usize, flags: c_int) -> isize {
    let Some(real) = real_send() else { return absent() };
    // SAFETY: the caller's arguments, or what is left of them.
    let at =
        |done: usize, more| unsafe { real(fd, from.wrapping_byte_add(done), count - done, flags | more) };
    whole(libc::SYS_sendto, fd, |more| at(0, more), || count, |done, more| (count - done, at(done, more)))
}

/// As the system call.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendto(
    fd: c_int,
    from: *const c_void,
    count: usize,
    flags: c_int,
    to: *const sockaddr,
    to_len: socklen_t,
) -> isize {
    let Some(real) = real_sendto() else { return absent() };
    // SAFETY: the caller's arguments, or what is left of them.
    let at = |done: usize, more| unsafe {
        real(fd, from.wrapping_byte_add(done), count - done, flags | more, to, to_len)
    };
    whole(libc::SYS_sendto, fd, |more| at(0, more), || count, |done, more| (count - done, at(done, more)))
}

/// As the system call. What goes on has no control data: that went with the first byte.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> isize {
    let Some(real) = real_sendmsg() else { return absent() };
    // SAFETY: the caller's arguments.
    let first = |more| unsafe { real(fd, message, flags | more) };
    // SAFETY: the kernel has read the message and its vector by now.
    let pieces = || unsafe { pieces((*message).msg_iov, (*message).msg_iovlen) };
    whole(
        libc::SYS_sendmsg,
        fd,
        first,
        || total(pieces()),
        |done, more| {
            let mut piece = piece_at(pieces(), done);
            let message = message_of(&mut piece);
            // SAFETY: a part of the caller's memory.
            (piece.iov_len, unsafe { real(fd, &message, flags | more) })
        },
    )
}

/// As the system call. The kernel moves `offset` on by itself.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendfile(to: c_int, from: c_int, offset: *mut i64, count: usize) -> isize {
    let Some(real) = real_sendfile() else { return absent() };
    // SAFETY: the caller's arguments, or what is left of them.
    let call = |done: usize| unsafe { real(to, from, offset, count - done) };
    let at = |done, flags| if flags == 0 { call(done) } else { too_late() };
    whole(
        libc::SYS_sendfile,
        to,
        |flags| at(0, flags),
        || count,
        |done, flags| (count - done, at(done, flags)),
    )
}

/// [`sendfile`], of which it is another name where `off_t` has 64 bits.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendfile64(to: c_int, from: c_int, offset: *mut i64, count: usize) -> isize {
    // SAFETY: the caller's arguments, passed on.
    unsafe { sendfile(to, from, offset, count) }
}

/// As the system call.
///
/// # Safety
///
/// As in C.
pub(crate) unsafe extern "C" fn recv(fd: c_int, into: *mut c_void, count: usize, flags: c_int) -> isize {
    let Some(real) = real_recv() else { return absent() };
    // SAFETY: the caller's arguments, or what is left of them.
    let at =
        |done: usize, more| unsafe { real(fd, into.wrapping_byte_add(done), count - done, flags | more) };
    if !waits_for_all(flags) {
        return received(libc::SYS_recvfrom, fd, |more| at(0, more));
    }
    let wanted = || if is_stream(fd) { count } else { 0 };
    whole(libc::SYS_recvfrom, fd, |more| at(0, more), wanted, |done, more| (count - done, at(done, more)))
}

/// As the system call.
///
/// # Safety
///
/// As in C.
pub(crate) unsafe extern "C" fn recvfrom(
    fd: c_int,
    into: *mut c_void,
    count: usize,
    flags: c_int,
    from: *mut sockaddr,
    from_len: *mut socklen_t,
) -> isize {
    let Some(real) = real_recvfrom() else { return absent() };
    // SAFETY: the caller's arguments.
    let first = |more| unsafe { real(fd, into, count, flags | more, from, from_len) };
    if !waits_for_all(flags) {
        return received(libc::SYS_recvfrom, fd, first);
    }
    whole(
        libc::SYS_recvfrom,
        fd,
        first,
        || if is_stream(fd) { count } else { 0 },
        |done, more| {
            let (into, none) = (into.wrapping_byte_add(done), core::ptr::null_mut());
            // SAFETY: what is left of the caller's memory; the sender is known already.
            (count - done, unsafe { real(fd, into, count - done, flags | more, none, core::ptr::null_mut()) })
        },
    )
}

/// As the system call. A message with room for control data is left alone: what came with a later byte would be lost.
///
/// # Safety
///
/// As in C.
pub(crate) unsafe extern "C" fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> isize {
    let Some(real) = real_recvmsg() else { return absent() };
    // SAFETY: the caller's arguments.
    let first = |more| unsafe { real(fd, message, flags | more) };
    if !waits_for_all(flags) {
        return received(libc::SYS_recvmsg, fd, first);
    }
    // SAFETY: the kernel has read the message and its vector by now.
    let pieces = || unsafe { pieces((*message).msg_iov, (*message).msg_iovlen) };
    // SAFETY: as above.
    let simple = || is_stream(fd) && unsafe { (*message).msg_control }.is_null();
    let wanted = || if simple() { total(pieces()) } else { 0 };
    whole(libc::SYS_recvmsg, fd, first, wanted, |done, more| {
        let mut piece = piece_at(pieces(), done);
        let mut message = message_of(&mut piece);
        // SAFETY: a part of the caller's memory.
        (piece.iov_len, unsafe { real(fd, &mut message, flags | more) })
    })
}

/// read(2) of a socket, without waiting.
#[cold]
fn receive_now(fd: c_int, into: *mut c_void, count: usize) -> isize {
    let Some(real) = real_recv() else { return absent() };
    // SAFETY: the caller's memory.
    unsafe { real(fd, into, count, libc::MSG_DONTWAIT) }
}

/// write(2) to a socket, without waiting.
#[cold]
fn send_now(fd: c_int, from: *const c_void, count: usize) -> isize {
    let Some(real) = real_send() else { return absent() };
    // SAFETY: the caller's memory.
    unsafe { real(fd, from, count, libc::MSG_DONTWAIT) }
}

/// sendfile(2) has no flag for it: the time is over.
#[cold]
fn too_late() -> isize {
    set_errno(libc::EAGAIN);
    -1
}

/// True for a stream of bytes. A datagram is whole however short it is, and the next is another.
#[cold]
fn is_stream(fd: c_int) -> bool {
    let (mut kind, mut len) = (0 as c_int, size_of::<c_int>() as socklen_t);
    let (kind_at, len_at) = (core::ptr::from_mut(&mut kind).addr(), core::ptr::from_mut(&mut len).addr());
    let arguments = [fd as usize, libc::SOL_SOCKET as usize, libc::SO_TYPE as usize, kind_at, len_at, 0];
    // SAFETY: getsockopt(2) writes one int and its length, which we hold exclusively.
    unsafe { syscall(libc::SYS_getsockopt, arguments) }.is_ok() && kind == libc::SOCK_STREAM
}

fn waits_for_all(flags: c_int) -> bool {
    flags & libc::MSG_WAITALL != 0 && flags & (libc::MSG_DONTWAIT | libc::MSG_PEEK) == 0
}

/// # Safety
///
/// - `vector` points to `count` pieces that stay as they are.
unsafe fn pieces<'a>(vector: *const iovec, count: usize) -> &'a [iovec] {
    // SAFETY: the caller's duty.
    if vector.is_null() { &[] } else { unsafe { core::slice::from_raw_parts(vector, count) } }
}

fn total(pieces: &[iovec]) -> usize {
    pieces.iter().map(|piece| piece.iov_len).sum()
}

/// What is left of the piece in which byte `done` lies.
fn piece_at(pieces: &[iovec], mut done: usize) -> iovec {
    for piece in pieces {
        if done < piece.iov_len {
            return iovec { iov_base: piece.iov_base.wrapping_byte_add(done), iov_len: piece.iov_len - done };
        }
        done -= piece.iov_len;
    }
    iovec { iov_base: core::ptr::null_mut(), iov_len: 0 }
}

fn message_of(piece: &mut iovec) -> msghdr {
    // SAFETY: plain data, for which zero is a value.
    let mut message: msghdr = unsafe { core::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (piece, 1);
    message
}

sleeping! { read recv recvfrom recvmsg }
