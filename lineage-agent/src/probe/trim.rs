//! Gives back the memory that loading took and recording does not need.

#![allow(
    unsafe_code,
    reason = "the allocator's and the loader's calls are only in `libc`"
)]

use std::ffi::{c_int, c_void};

/// Gives back what is free in the allocator, which would keep it for as long as the recorder runs: the kernel's type
/// information is megabytes in many small pieces. And forgets which pages of the program itself were used: those that
/// still are come back from the file.
pub(super) fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: releases free pages of the allocator; no argument, no memory in use is touched.
    unsafe {
        libc::malloc_trim(0)
    };
    // SAFETY: the callback is called with what is loaded, before the call returns.
    unsafe { libc::dl_iterate_phdr(Some(forget), std::ptr::null_mut()) };
}

/// Forgets the pages of the segments that nobody can ever have written to; of the first object only, which is the
/// program.
unsafe extern "C" fn forget(info: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    // SAFETY: the loader's structure, with as many headers as it says.
    let (base, headers) = unsafe {
        let info = &*info;
        let headers = std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum));
        (info.dlpi_addr, headers)
    };
    let page = rustix::param::page_size() as u64;
    for header in headers {
        if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
            continue;
        }
        // Whole pages only: the last one may be shared with a segment that is written to.
        let begin = (base + header.p_vaddr).next_multiple_of(page);
        let end = (base + header.p_vaddr + header.p_memsz) / page * page;
        if begin < end {
            let len = (end - begin) as usize;
            // SAFETY: clean pages of a private file mapping: they are read from the file again.
            unsafe { libc::madvise(begin as *mut c_void, len, libc::MADV_DONTNEED) };
        }
    }
    1
}
