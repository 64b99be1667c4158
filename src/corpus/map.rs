//! The memory map itself, and what happens when its file shrinks: the only unsafe code of this crate.
//!
//! Reading a page that lies beyond a file's new end raises SIGBUS, which ends a process that does not expect it. Here
//! the handler puts pages of zeros in the place of all that follows, and remembers that the map is lost; whoever read
//! it asks [`Mapping::is_lost`] before the numbers are used. Signals from anywhere else go to whoever had them before.
#![allow(unsafe_code)]

use memmap2::Mmap;
use std::{fs::File, io, ops::Deref};

/// A file mapped to read, which no change to the file can turn into a crash.
#[derive(Debug)]
pub(super) struct Mapping {
    watch: watch::Watch, // goes before the map does
    map: Mmap,
}

impl Mapping {
    /// Maps a file to read.
    pub fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the map is read-only and is only ever seen as bytes, for which every bit pattern is valid: each
        // read checks and decodes them anew, and none is kept as `str`. A file that another program changes
        // meanwhile gives other symbols, and one that it shortens gives zeros; `Corpus::unchanged` tells of both.
        let map = unsafe { Mmap::map(file)? };
        Ok(Self { watch: watch::Watch::new(&map)?, map })
    }

    /// Whether bytes of it were asked for that the file no longer has.
    pub fn is_lost(&self) -> bool {
        self.watch.is_lost()
    }
}

impl Deref for Mapping {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.map
    }
}

/// Whether any map of this process was lost: one load, to ask before the maps are asked one by one.
pub(super) use watch::any_lost;

#[cfg(unix)]
mod watch {
    //! The maps that the handler of SIGBUS knows: a list that only grows, of places that are used again.

    use std::{
        io, mem, ptr,
        sync::{
            Mutex, OnceLock,
            atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::SeqCst},
        },
    };

    /// One map; `end` is 0 in a place that is free.
    struct Place {
        start: AtomicUsize,
        end: AtomicUsize,
        lost: AtomicBool,
        next: Option<&'static Place>,
    }

    static PLACES: AtomicPtr<Place> = AtomicPtr::new(ptr::null_mut());
    /// Places to use again. Never locked by the handler.
    static FREE: Mutex<Vec<&'static Place>> = Mutex::new(Vec::new());
    static LOST: AtomicBool = AtomicBool::new(false);
    static PAGE: AtomicUsize = AtomicUsize::new(0);
    /// Who had the signal before; the error number if it could not be had.
    static BEFORE: OnceLock<Result<libc::sigaction, i32>> = OnceLock::new();

    pub fn any_lost() -> bool {
        LOST.load(SeqCst)
    }

    /// Keeps a map in the list for as long as it lives.
    pub struct Watch(&'static Place);

    impl std::fmt::Debug for Watch {
        fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(out, "Watch {{ lost: {} }}", self.is_lost())
        }
    }

    impl Watch {
        pub fn new(bytes: &[u8]) -> io::Result<Self> {
            listen()?;
            let range = bytes.as_ptr_range();
            let mut free = FREE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let place = free.pop().unwrap_or_else(add);
            place.lost.store(false, SeqCst);
            place.start.store(range.start.addr(), SeqCst);
            place.end.store(range.end.addr(), SeqCst);
            Ok(Self(place))
        }

        pub fn is_lost(&self) -> bool {
            self.0.lost.load(SeqCst)
        }
    }

    impl Drop for Watch {
        fn drop(&mut self) {
            self.0.end.store(0, SeqCst);
            FREE.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(self.0);
        }
    }

    /// A new place at the head of the list. Called under the lock of `FREE`, so by one thread at a time.
    fn add() -> &'static Place {
        let head = PLACES.load(SeqCst);
        // SAFETY: the head is null or a place that `add` has leaked, which lives for ever.
        let next = unsafe { head.as_ref() };
        let (start, end, lost) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
        let place = Box::leak(Box::new(Place { start, end, lost, next }));
        PLACES.store(place, SeqCst);
        place
    }

    /// Takes the signal, once in the process's life.
    fn listen() -> io::Result<()> {
        let before = BEFORE.get_or_init(|| {
            // SAFETY: `sysconf` only answers.
            let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
            PAGE.store(usize::try_from(page).unwrap_or(4096), SeqCst);
            // SAFETY: all-zero is a valid `sigaction` (no flags, the empty mask); both structures live through the
            // call, and the handler does only what a handler may: atomic loads and stores, and system calls.
            unsafe {
                let (mut ours, mut before) = (mem::zeroed::<libc::sigaction>(), mem::zeroed());
                ours.sa_sigaction = on_bus_error as *const () as usize;
                ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                match libc::sigaction(libc::SIGBUS, &ours, &mut before) {
                    0 => Ok(before),
                    _ => Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)),
                }
            }
        });
        before.as_ref().map(|_| ()).map_err(|&code| io::Error::from_raw_os_error(code))
    }

    extern "C" fn on_bus_error(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
        // SAFETY: the system passes a filled `siginfo_t` to a handler with SA_SIGINFO.
        let address = unsafe { (*info).si_addr() }.addr();
        if !fill(address) {
            pass_on(signal, info, context);
        }
    }

    /// Zeros from the page at `address` to the end of the map that it lies in; false if it lies in none.
    fn fill(address: usize) -> bool {
        // SAFETY: null or a leaked place.
        let mut next = unsafe { PLACES.load(SeqCst).as_ref() };
        while let Some(place) = next {
            let (start, end) = (place.start.load(SeqCst), place.end.load(SeqCst));
            if (start..end).contains(&address) {
                place.lost.store(true, SeqCst);
                LOST.store(true, SeqCst);
                return zeros(address, end);
            }
            next = place.next;
        }
        false
    }

    fn zeros(address: usize, end: usize) -> bool {
        let start = address & !(PAGE.load(SeqCst) - 1);
        // SAFETY: the pages lie in a read-only map that this module was given and that is alive, or nobody could have
        // read there; they keep their place and stay readable, and whoever holds the map sees only bytes.
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

    /// To whoever had the signal before us.
    fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
        let Some(Ok(before)) = BEFORE.get() else { return };
        let handler = before.sa_sigaction;
        if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
            // Nobody: the read is tried again on return, and ends the process as it would have without us.
            // SAFETY: an action that the system itself gave.
            unsafe { libc::sigaction(signal, before, ptr::null_mut()) };
        } else if before.sa_flags & libc::SA_SIGINFO != 0 {
            type Full = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
            // SAFETY: an action with SA_SIGINFO holds a function of this form.
            let full = unsafe { mem::transmute::<usize, Full>(handler) };
            full(signal, info, context);
        } else {
            type Short = extern "C" fn(libc::c_int);
            // SAFETY: an action without SA_SIGINFO that is no constant holds a function of this form.
            let short = unsafe { mem::transmute::<usize, Short>(handler) };
            short(signal);
        }
    }
}

#[cfg(not(unix))]
mod watch {
    //! Where a file that is mapped cannot shrink, there is nothing to watch.

    #[derive(Debug)]
    pub struct Watch;

    impl Watch {
        pub fn new(_: &[u8]) -> std::io::Result<Self> {
            Ok(Self)
        }

        pub fn is_lost(&self) -> bool {
            false
        }
    }

    pub fn any_lost() -> bool {
        false
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::{fs, thread};

    #[test]
    fn what_a_file_has_lost_reads_as_zeros_and_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        fs::write(&path, vec![b'a'; 1 << 20]).unwrap();
        let [map, other] = [(), ()].map(|()| Mapping::new(&File::open(&path).unwrap()).unwrap());
        assert!(!map.is_lost());
        File::options().write(true).open(&path).unwrap().set_len(10_000).unwrap();
        assert_eq!((map[0], map[9_999], map.is_lost()), (b'a', b'a', false));
        thread::scope(|scope| {
            let map = &map;
            for thread in 0..4 {
                scope.spawn(move || assert!(map[50_000 + 4096 * thread..].iter().all(|&byte| byte == 0)));
            }
        });
        assert_eq!((map[0], map[(1 << 20) - 1], map.len()), (b'a', 0, 1 << 20));
        assert!(map.is_lost() && any_lost());
        assert!(!other.is_lost(), "nobody has read that one");
    }

    #[test]
    fn places_are_used_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "text").unwrap();
        for _ in 0..100 {
            let map = Mapping::new(&File::open(file.path()).unwrap()).unwrap();
            assert_eq!((&*map, map.is_lost()), (&b"text"[..], false));
        }
    }
}
