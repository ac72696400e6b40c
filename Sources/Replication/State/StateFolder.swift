import Glibc

/// What the folder of a state file says of the files in it: whose they are, and who may read them.
struct StateFolder {
    private let status: stat?

    init(of path: String) {
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
        var status = stat()
        self.status = stat(folder, &status) == 0 ? status : nil
    }

    /// A folder that its group may read, and nobody else, holds files that its group may read: so operators can ask how things stand.
    var mode: mode_t { status.map { $0.st_mode & 0o077 == 0o050 } ?? false ? 0o640 : 0o600 }

    /// What root makes in another user's folder is that user's: who runs the daemon must be able to go on with it.
    func giveAway(_ descriptor: Int32) {
        guard geteuid() == 0, let status, status.st_uid != 0 else { return }
        _ = fchown(descriptor, status.st_uid, status.st_gid)
    }
}
