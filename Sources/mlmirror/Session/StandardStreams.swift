import Glibc

/// Descriptors 0 to 2 are there, whoever started the process: else the first files that are opened would take their numbers, and messages
/// would go into them.
enum StandardStreams {
    /// Call it before anything is opened.
    static func hold() {
        // In this order: the lowest free number is the one that is given.
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 && errno == EBADF {
            // A result that is written to nowhere shall fail; a message may get lost.
            _ = open("/dev/null", descriptor == STDERR_FILENO ? O_WRONLY : O_RDONLY)
        }
    }
}
