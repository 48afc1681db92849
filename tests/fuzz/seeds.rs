//! Unpacks and packs the archives of inputs: `seeds unpack ARCHIVE FOLDER`, `seeds pack FOLDER ARCHIVE`. Packing says how many.

use std::path::Path;

mod archive;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["unpack", archive, folder] => archive::unpack(Path::new(archive), Path::new(folder)),
        ["pack", folder, archive] => {
            let inputs = archive::gather(Path::new(folder))?;
            std::fs::write(archive, archive::pack(&inputs)?)?;
            println!("{}", inputs.len());
            Ok(())
        }
        _ => Err(std::io::Error::other("seeds unpack ARCHIVE FOLDER | seeds pack FOLDER ARCHIVE")),
    }
}
