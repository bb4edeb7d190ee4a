//! What a stop does to a thread inside each system call that a signal can interrupt (signal(7)).

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use super::super::Options;
use super::child::{in_child, records};
use crate::arch::{SYS_EPOLL_WAIT, SYS_PAUSE, SYS_POLL};

/// What a call's result register holds at the stop.
#[derive(Clone, Copy, PartialEq, Debug)]
enum At {
    /// -EINTR: the program would see it. These are the calls to be mended.
    Eintr,
    /// One of the kernel's own restart codes: it mends itself.
    Restarts,
}

struct Blocked {
    name: &'static str,
    number: libc::c_long,
    arguments: [usize; 6],
    at: At,
}

fn call(name: &'static str, number: libc::c_long, arguments: [usize; 6], at: At) -> Blocked {
    Blocked { name, number, arguments, at }
}

/// The address of something that lives for ever.
fn at<T>(value: T) -> usize {
    core::ptr::from_mut(Box::leak(Box::new(value))).addr()
}

fn socket_with_timeout(kind: i32) -> i32 {
    // SAFETY: plain socket calls on values of ours.
    unsafe {
        let socket = libc::socket(libc::AF_INET, kind, 0);
        assert!(socket >= 0);
        let time = libc::timeval { tv_sec: 1000, tv_usec: 0 };
        for option in [libc::SO_RCVTIMEO, libc::SO_SNDTIMEO] {
            let size = size_of::<libc::timeval>() as u32;
            assert_eq!(libc::setsockopt(socket, libc::SOL_SOCKET, option, (&raw const time).cast(), size), 0);
        }
        socket
    }
}

/// Blocks in every call that a signal can interrupt.
fn blocking_calls() -> Vec<Blocked> {
    let long = at(libc::timespec { tv_sec: 1000, tv_nsec: 0 });
    // SAFETY: makes descriptors and queues that nobody ever feeds.
    unsafe {
        let epoll = libc::epoll_create1(0) as usize;
        let events = at([0u64; 4]);
        let semaphores = libc::semget(libc::IPC_PRIVATE, 1, 0o600);
        let queue = libc::msgget(libc::IPC_PRIVATE, 0o600);
        let down = at(libc::sembuf { sem_num: 0, sem_op: -1, sem_flg: 0 });
        let mut pipe = [0; 2];
        assert_eq!(libc::pipe(pipe.as_mut_ptr()), 0);
        let (pipe, buffer) = (pipe[0] as usize, at([0u8; 256]));
        let datagram = socket_with_timeout(libc::SOCK_DGRAM);
        let mut address: libc::sockaddr_in = core::mem::zeroed();
        address.sin_family = libc::AF_INET as u16;
        address.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
        let size = size_of::<libc::sockaddr_in>() as u32;
        assert_eq!(libc::bind(datagram, (&raw const address).cast(), size), 0);
        let listener = socket_with_timeout(libc::SOCK_STREAM);
        assert_eq!(libc::bind(listener, (&raw const address).cast(), size), 0);
        assert_eq!(libc::listen(listener, 1), 0);
        let inotify = libc::inotify_init1(0) as usize;
        let mut aio = 0usize;
        let asynchronous = libc::syscall(libc::SYS_io_setup, 4, &raw mut aio) == 0;
        // A signal that nobody sends.
        let set = at(1u64 << (libc::SIGRTMAX() - 1));
        let word = at(0u32);
        let message = at(libc::iovec { iov_base: buffer as *mut _, iov_len: 16 });
        let mut header: libc::msghdr = core::mem::zeroed();
        (header.msg_iov, header.msg_iovlen) = (message as *mut _, 1);
        let header = at(header);
        let (datagram, listener) = (datagram as usize, listener as usize);
        let ready = at(libc::pollfd { fd: pipe as i32, events: libc::POLLIN, revents: 0 });
        use At::{Eintr, Restarts};
        let mut calls = vec![
            call("epoll_wait", SYS_EPOLL_WAIT, [epoll, events, 1, usize::MAX, 0, 0], Eintr),
            call("epoll_pwait", libc::SYS_epoll_pwait, [epoll, events, 1, usize::MAX, 0, 8], Eintr),
            call("epoll_pwait2", libc::SYS_epoll_pwait2, [epoll, events, 1, long, 0, 8], Eintr),
            call("semop", libc::SYS_semop, [semaphores as usize, down, 1, 0, 0, 0], Eintr),
            call("semtimedop", libc::SYS_semtimedop, [semaphores as usize, down, 1, long, 0, 0], Eintr),
            call("rt_sigtimedwait", libc::SYS_rt_sigtimedwait, [set, 0, long, 8, 0, 0], Eintr),
            call("rt_sigtimedwait for ever", libc::SYS_rt_sigtimedwait, [set, 0, 0, 8, 0, 0], Eintr),
            call("recvfrom", libc::SYS_recvfrom, [datagram, buffer, 16, 0, 0, 0], Eintr),
            call("recvmsg", libc::SYS_recvmsg, [datagram, header, 0, 0, 0, 0], Eintr),
            call("read of a socket", libc::SYS_read, [datagram, buffer, 16, 0, 0, 0], Eintr),
            call("accept", libc::SYS_accept, [listener, 0, 0, 0, 0, 0], Eintr),
            call("accept4", libc::SYS_accept4, [listener, 0, 0, 0, 0, 0], Eintr),
            call("read of a pipe", libc::SYS_read, [pipe, buffer, 16, 0, 0, 0], Restarts),
            call("read of inotify", libc::SYS_read, [inotify, buffer, 256, 0, 0, 0], Restarts),
            call("msgrcv", libc::SYS_msgrcv, [queue as usize, buffer, 8, 0, 0, 0], Restarts),
            call("poll", SYS_POLL, [ready, 1, usize::MAX, 0, 0, 0], Restarts),
            call("ppoll", libc::SYS_ppoll, [ready, 1, long, 0, 8, 0], Restarts),
            call("pselect6", libc::SYS_pselect6, [0, 0, 0, 0, 0, 0], Restarts),
            call("pause", SYS_PAUSE, [0; 6], Restarts),
            call("nanosleep", libc::SYS_nanosleep, [long, 0, 0, 0, 0, 0], Restarts),
            call("futex", libc::SYS_futex, [word, 0, 0, 0, 0, 0], Restarts),
            call("futex with a timeout", libc::SYS_futex, [word, 0, 0, long, 0, 0], Restarts),
        ];
        if asynchronous {
            calls.push(call("io_getevents", libc::SYS_io_getevents, [aio, 1, 1, events, 0, 0], Eintr));
        }
        #[cfg(target_arch = "x86_64")]
        calls.push(call("select", libc::SYS_select, [0, 0, 0, 0, 0, 0], Restarts));
        // Those that the CPU has.
        calls.retain(|call| call.number >= 0);
        calls
    }
}

/// Each thread sits in one call for the whole test; hundreds of stops must not make one of them return. The result
/// registers seen at the stop are compared with what the list of calls to be mended was made from.
///
/// Half of the stops follow each other at once: a thread that has not run since the last still holds its mended result,
/// or stands before the instruction that begins the call again. It is neither mended again nor counted.
#[test]
fn interrupted_calls() {
    static TIDS: [AtomicI32; 64] = [const { AtomicI32::new(0) }; 64];
    static RETURNED: [AtomicI32; 64] = [const { AtomicI32::new(0) }; 64];
    static RETURNS: AtomicUsize = AtomicUsize::new(0);
    in_child(60, || {
        let calls = blocking_calls();
        for (index, blocked) in calls.iter().enumerate() {
            let (number, a) = (blocked.number, blocked.arguments);
            std::thread::spawn(move || {
                TIDS[index].store(crate::sys::process::tid().get(), SeqCst);
                // SAFETY: the arguments were made for this call and live for ever.
                let result = unsafe { libc::syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]) };
                // SAFETY: errno of this thread.
                let errno = unsafe { *libc::__errno_location() };
                RETURNED[index].store(if result < 0 { -errno } else { 1 }, SeqCst);
                RETURNS.fetch_add(1, SeqCst);
            });
        }
        std::thread::sleep(Duration::from_millis(200));
        let expected = calls.iter().filter(|blocked| blocked.at == At::Eintr).count() as u32;
        for round in 0..200 {
            let (notes, records) = records(&Options::DEFAULT);
            let mut not_run_since = 0;
            for (index, blocked) in calls.iter().enumerate() {
                let returned = RETURNED[index].load(SeqCst);
                assert_eq!(returned, 0, "{} returned", blocked.name);
                let tid = TIDS[index].load(SeqCst);
                let record = records.iter().find(|record| record.tid.get() == tid).expect(blocked.name);
                // A call with a relative timeout goes on as restart_syscall(2). Where /proc tells which call it is, it does
                // not tell of a thread that has not run since.
                let number = record.system_call().map(|number| number as libc::c_long);
                let goes_on = blocked.at == At::Restarts && number == Some(libc::SYS_restart_syscall);
                let untold = !crate::arch::KERNEL_DECIDES_RESTART && number.is_none();
                assert!(number == Some(blocked.number) || goes_on || untold, "{}: {number:?}", blocked.name);
                let (registers, first) = (&record.registers, blocked.arguments[0]);
                let result = registers.result();
                match blocked.at {
                    At::Eintr if registers.begins_call_again(first) || registers.is_mended() => {
                        not_run_since += 1
                    }
                    At::Eintr => assert_eq!(result, -(libc::EINTR as isize), "{}", blocked.name),
                    At::Restarts => assert!(registers.restarts(first), "{}: {result}", blocked.name),
                }
            }
            assert_eq!((notes.mended + not_run_since, notes.unlisted_eintr), (expected, 0), "{notes:?}");
            if round % 2 == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        assert_eq!(RETURNS.load(SeqCst), 0);
    });
}

/// Mending must not swallow an EINTR that a handler causes: neither when the signal comes during the stop nor after.
#[test]
fn true_interruptions_stay() {
    static TID: AtomicI32 = AtomicI32::new(0);
    static EINTRS: AtomicUsize = AtomicUsize::new(0);
    static HANDLED: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn handler(_: i32) {
        HANDLED.fetch_add(1, SeqCst);
    }
    in_child(60, || {
        // SAFETY: installs a handler that only counts; no SA_RESTART.
        unsafe {
            let mut action: libc::sigaction = core::mem::zeroed();
            action.sa_sigaction = handler as *const () as usize;
            assert_eq!(libc::sigaction(libc::SIGUSR1, &action, core::ptr::null_mut()), 0);
        }
        std::thread::spawn(|| {
            TID.store(crate::sys::process::tid().get(), SeqCst);
            // SAFETY: an epoll of nothing.
            unsafe {
                let epoll = libc::epoll_create1(0);
                let mut event: libc::epoll_event = core::mem::zeroed();
                loop {
                    if libc::epoll_wait(epoll, &mut event, 1, -1) < 0 {
                        assert_eq!(*libc::__errno_location(), libc::EINTR);
                        EINTRS.fetch_add(1, SeqCst);
                    }
                }
            }
        });
        std::thread::sleep(Duration::from_millis(50));
        let tid = TID.load(SeqCst);
        for round in 1..=200 {
            let notes = super::child::stop(&Options::DEFAULT, &mut |_, _| {
                // SAFETY: a signal to a thread of ours.
                unsafe { libc::syscall(libc::SYS_tkill, tid, libc::SIGUSR1) };
            });
            notes.unwrap();
            let start = std::time::Instant::now();
            while EINTRS.load(SeqCst) < round {
                assert!(start.elapsed().as_secs() < 5, "an EINTR was swallowed");
                std::thread::yield_now();
            }
            assert_eq!((EINTRS.load(SeqCst), HANDLED.load(SeqCst)), (round, round));
            if round % 10 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
}
