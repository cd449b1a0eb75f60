//! Any recorded system call, by name, with the arguments as the script gives them.

use std::ffi::{CStr, c_long};

use lineage_common::calls::{Machine, SYSCALLS};

use crate::files::letters;
use crate::sys::Arg::{In, Int, Out, Text};
use crate::sys::call;
use crate::words::{Failure, Words, number};
use crate::{Actor, Known};

/// Memory that a call may write and the script does not look at.
const ROOM_BYTES: usize = 4096;

impl Actor {
    /// `call @result NAME ARGUMENT… ;`
    pub(crate) fn any(&mut self, verb: &CStr, words: &mut Words) -> Known {
        if verb.to_bytes() != b"call" {
            return Ok(false);
        }
        let result = words.name()?;
        let name = words.next("the name of a system call")?;
        let known = SYSCALLS
            .iter()
            .find(|known| known.name.as_bytes() == name.to_bytes());
        let machine = Machine::native();
        let (Some(known), Some(machine)) = (known, machine) else {
            return Err(Failure::script("unknown system call", name));
        };
        let Some(number_of_call) = machine.number(known) else {
            return Err(Failure::script("no such call on this machine", name));
        };
        let mut rooms = [[0u8; ROOM_BYTES], [0u8; ROOM_BYTES]];
        let [first, second] = &mut rooms;
        let mut rooms = [Some(first), Some(second)].into_iter();
        let words = words.arguments();
        let mut buffers: Vec<Vec<Vec<u8>>> = words.iter().map(|word| buffers(word)).collect();
        let memories: Vec<Vec<u8>> = words
            .iter()
            .zip(&mut buffers)
            .map(|(word, buffers)| memory(word, buffers))
            .collect();
        let mut arguments = Vec::new();
        for (word, memory) in words.iter().zip(&memories) {
            arguments.push(match word.to_bytes() {
                [b'=', ..] => Text(&word[1..]),
                [b'#' | b'&', ..] => In(memory),
                b"room" => {
                    let room = rooms.next().flatten();
                    Out(room.ok_or_else(|| Failure::script("no more", word))?)
                }
                bytes => {
                    Int(number(bytes, self)
                        .ok_or_else(|| Failure::script("not an argument", word))?)
                }
            });
        }
        let number_of_call = number_of_call as c_long;
        let value = match call(known.name, number_of_call, &mut arguments) {
            Ok(value) => value,
            Err(Failure::Call { errno, .. }) => -i64::from(errno),
            Err(other) => return Err(other),
        };
        drop(arguments);
        self.store(result, value);
        Ok(true)
    }
}

/// The memory that `#1,2` stands for: words of 64 bits; with `&` the vectors of these buffers.
fn memory(word: &CStr, buffers: &mut [Vec<u8>]) -> Vec<u8> {
    if word.to_bytes().starts_with(b"#") {
        return numbers(word).flat_map(i64::to_ne_bytes).collect();
    }
    let vectors = buffers
        .iter_mut()
        .flat_map(|buffer| [buffer.as_mut_ptr() as usize, buffer.len()]);
    vectors.flat_map(usize::to_ne_bytes).collect()
}

/// The buffers that `&1,2` stands for, by their lengths.
fn buffers(word: &CStr) -> Vec<Vec<u8>> {
    match word.to_bytes() {
        [b'&', ..] => numbers(word).map(letters).collect(),
        _ => Vec::new(),
    }
}

/// The numbers behind the first letter.
fn numbers(word: &CStr) -> impl Iterator<Item = i64> {
    let text = word.to_str().unwrap_or_default();
    let numbers = text.get(1..).unwrap_or_default().split(',');
    numbers.filter_map(|number| number.parse().ok())
}
