//! Memory-mapped files, and what happens when such a file shrinks. The only unsafe code of this
//! crate.
//!
//! Reading a mapped page beyond the new end of its file raises SIGBUS, which ends the process.
//! [`install_truncation_guard`] installs a handler that replaces the lost pages by zeros and marks
//! the mapping as truncated. Callers check [`Mapping::is_truncated`] before they use the numbers.
//! The handler passes every other SIGBUS on to the handler that was installed before it.
#![allow(unsafe_code)]

use crate::{Error, Result};
use memmap2::Mmap;
use std::{fs::File, io, ops::Deref};

/// A read-only mapping of a file.
#[derive(Debug)]
pub(super) struct Mapping {
    registration: guard::Registration, // is dropped before the mapping
    map: Mmap,
}

impl Mapping {
    /// Maps a file.
    pub fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the mapping is read-only and only used as bytes, for which every bit pattern is
        // valid. Each read checks and decodes the bytes again, and none is kept as `str`. If
        // another program changes the file, reads give other symbols. If it truncates the file,
        // reads give zeros (with the guard) or the system ends the process (without).
        // `Corpus::check_unchanged` reports both kinds of change.
        let map = unsafe { Mmap::map(file)? };
        Ok(Self { registration: guard::Registration::new(&map), map })
    }

    /// Returns whether a read found that the file was truncated. Always false without the guard.
    pub fn is_truncated(&self) -> bool {
        self.registration.is_truncated()
    }
}

impl Deref for Mapping {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.map
    }
}

/// Returns whether any mapping of this process is truncated: one atomic load, to check before the
/// mappings are checked one by one.
pub(super) use guard::any_truncated;

/// Installs a process-wide handler of SIGBUS, so that a mapped file that another program truncates
/// is an error instead of the end of the process.
///
/// Opening a corpus installs no signal handler. Without this call, reading a truncated part of a
/// mapped file raises SIGBUS and ends the process, as the operating system does for any program.
/// After it, such a read gives zeros, and
/// [`Corpus::check_truncation`](super::Corpus::check_truncation),
/// [`Training::step`](crate::train::Training::step) and [`evaluate`](crate::train::evaluate) return
/// [`Error::TextChanged`](crate::Error::TextChanged).
///
/// The `unrolled` command line calls it at its start. Further calls do nothing and return the result
/// of the first. The guard also covers corpora that are already open. A SIGBUS from anywhere else goes to the handler that was
/// installed before. A handler that the program installs later replaces the guard.
/// Does nothing on systems without SIGBUS.
///
/// # Errors
/// [`Error::Io`] if the operating system refuses the handler.
pub fn install_truncation_guard() -> Result<()> {
    let failed = |source| Error::Io { action: "handle", path: "the signal SIGBUS".into(), source };
    guard::install().map_err(failed)
}

#[cfg(unix)]
mod guard {
    //! The list of mappings that the SIGBUS handler searches. It only grows; its slots are reused.

    use std::{
        io, mem, ptr,
        sync::{
            Mutex, OnceLock,
            atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::SeqCst},
        },
    };

    /// The addresses of one mapping. `end` is 0 in a free slot.
    struct MapSlot {
        start: AtomicUsize,
        end: AtomicUsize,
        truncated: AtomicBool,
        next: Option<&'static MapSlot>,
    }

    static SLOTS: AtomicPtr<MapSlot> = AtomicPtr::new(ptr::null_mut());
    /// Slots to reuse. The handler never locks it.
    static FREE: Mutex<Vec<&'static MapSlot>> = Mutex::new(Vec::new());
    static ANY_TRUNCATED: AtomicBool = AtomicBool::new(false);
    static PAGE: AtomicUsize = AtomicUsize::new(0);
    /// The action for SIGBUS before the guard, or the error number if it was refused.
    static PREVIOUS: OnceLock<Result<libc::sigaction, i32>> = OnceLock::new();

    pub fn any_truncated() -> bool {
        ANY_TRUNCATED.load(SeqCst)
    }

    /// Keeps a mapping in the list until it is dropped.
    pub struct Registration(&'static MapSlot);

    impl std::fmt::Debug for Registration {
        fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(out, "Registration {{ truncated: {} }}", self.is_truncated())
        }
    }

    impl Registration {
        pub fn new(bytes: &[u8]) -> Self {
            let range = bytes.as_ptr_range();
            let mut free = FREE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let slot = free.pop().unwrap_or_else(add_slot);
            slot.truncated.store(false, SeqCst);
            slot.start.store(range.start.addr(), SeqCst);
            slot.end.store(range.end.addr(), SeqCst);
            Self(slot)
        }

        pub fn is_truncated(&self) -> bool {
            self.0.truncated.load(SeqCst)
        }
    }

    impl Drop for Registration {
        fn drop(&mut self) {
            self.0.end.store(0, SeqCst);
            FREE.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(self.0);
        }
    }

    /// Adds a slot at the head of the list. The caller holds the lock of `FREE`.
    fn add_slot() -> &'static MapSlot {
        let head = SLOTS.load(SeqCst);
        // SAFETY: the head is null or a slot that `add_slot` has leaked, which is never freed.
        let next = unsafe { head.as_ref() };
        let (start, end, truncated) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
        let slot = Box::leak(Box::new(MapSlot { start, end, truncated, next }));
        SLOTS.store(slot, SeqCst);
        slot
    }

    /// Installs the handler, once in the life of the process. Further calls return the result of the
    /// first.
    pub fn install() -> io::Result<()> {
        let previous = PREVIOUS.get_or_init(|| {
            // SAFETY: `sysconf` only returns a number.
            let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
            PAGE.store(usize::try_from(page).unwrap_or(4096), SeqCst);
            // SAFETY: all-zero is a valid `sigaction` (no flags, the empty mask). Both structures
            // live through the call. The handler only loads and stores atomics, makes system calls
            // and calls the previous handler, which a handler may do. `PAGE` is set before.
            unsafe {
                let (mut ours, mut previous) = (mem::zeroed::<libc::sigaction>(), mem::zeroed());
                ours.sa_sigaction = on_bus_error as *const () as usize;
                ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                match libc::sigaction(libc::SIGBUS, &ours, &mut previous) {
                    0 => Ok(previous),
                    _ => Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)),
                }
            }
        });
        previous.as_ref().map(|_| ()).map_err(|&code| io::Error::from_raw_os_error(code))
    }

    extern "C" fn on_bus_error(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
        // SAFETY: the system passes a filled `siginfo_t` to a handler with SA_SIGINFO.
        let address = unsafe { (*info).si_addr() }.addr();
        if !fill(address) {
            pass_on(signal, info, context);
        }
    }

    /// Puts zeros from the page at `address` to the end of its mapping. Returns false if no mapping
    /// of the list contains the address.
    fn fill(address: usize) -> bool {
        // SAFETY: the head is null or a slot that `add_slot` has leaked, which is never freed.
        let mut next = unsafe { SLOTS.load(SeqCst).as_ref() };
        while let Some(slot) = next {
            let (start, end) = (slot.start.load(SeqCst), slot.end.load(SeqCst));
            if (start..end).contains(&address) {
                slot.truncated.store(true, SeqCst);
                ANY_TRUNCATED.store(true, SeqCst);
                return map_zeros(address, end);
            }
            next = slot.next;
        }
        false
    }

    fn map_zeros(address: usize, end: usize) -> bool {
        let start = address & !(PAGE.load(SeqCst) - 1);
        // SAFETY: the pages belong to a read-only mapping in the list. It is alive, because the
        // thread that was interrupted is reading it. The pages keep their addresses and stay
        // readable, and the owner of the mapping sees only bytes.
        let mapped = unsafe {
            libc::mmap(
                ptr::without_provenance_mut(start),
                end - start,
                libc::PROT_READ,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                -1,
                0,
            )
        };
        mapped != libc::MAP_FAILED
    }

    /// Calls the handler that was installed before the guard.
    fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
        let Some(Ok(previous)) = PREVIOUS.get() else { return };
        let handler = previous.sa_sigaction;
        if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
            // No handler: the read is repeated on return, and ends the process as it does without
            // the guard.
            // SAFETY: the action is one that the system itself returned.
            unsafe { libc::sigaction(signal, previous, ptr::null_mut()) };
        } else if previous.sa_flags & libc::SA_SIGINFO != 0 {
            type Full = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
            // SAFETY: an action with SA_SIGINFO that is neither constant holds the address of a
            // function of this type.
            let full = unsafe { mem::transmute::<usize, Full>(handler) };
            full(signal, info, context);
        } else {
            type Short = extern "C" fn(libc::c_int);
            // SAFETY: an action without SA_SIGINFO that is neither constant holds the address of a
            // function of this type.
            let short = unsafe { mem::transmute::<usize, Short>(handler) };
            short(signal);
        }
    }
}

#[cfg(not(unix))]
mod guard {
    //! Systems on which a mapped file cannot shrink.

    #[derive(Debug)]
    pub struct Registration;

    impl Registration {
        pub fn new(_: &[u8]) -> Self {
            Self
        }

        pub fn is_truncated(&self) -> bool {
            false
        }
    }

    pub fn any_truncated() -> bool {
        false
    }

    pub fn install() -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::{fs, thread};

    #[test]
    fn with_the_guard_a_truncated_part_reads_as_zeros_and_is_reported() {
        install_truncation_guard().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        fs::write(&path, vec![b'a'; 1 << 20]).unwrap();
        let [map, other] = [(), ()].map(|()| Mapping::new(&File::open(&path).unwrap()).unwrap());
        assert!(!map.is_truncated());
        File::options().write(true).open(&path).unwrap().set_len(10_000).unwrap();
        assert_eq!((map[0], map[9_999], map.is_truncated()), (b'a', b'a', false));
        thread::scope(|scope| {
            let map = &map;
            for thread in 0..4 {
                scope.spawn(move || assert!(map[50_000 + 4096 * thread..].iter().all(|&byte| byte == 0)));
            }
        });
        assert_eq!((map[0], map[(1 << 20) - 1], map.len()), (b'a', 0, 1 << 20));
        assert!(map.is_truncated() && any_truncated());
        assert!(!other.is_truncated(), "nothing has read that mapping");
    }

    #[test]
    fn slots_are_reused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "text").unwrap();
        for _ in 0..100 {
            let map = Mapping::new(&File::open(file.path()).unwrap()).unwrap();
            assert_eq!((&*map, map.is_truncated()), (&b"text"[..], false));
        }
    }
}
