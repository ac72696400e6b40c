import Foundation
import TestSupport
import Replication

/// Many simulations on all cores, each on one thread.
public enum Campaign {
    /// Calls a body for every index, on as many threads as there are cores.
    ///
    /// - Parameter body: the index, and a folder of its thread's own.
    public static func forEach(_ count: Int, _ body: @escaping @Sendable (_ index: Int, _ folder: String) -> Void) {
        let next = Locked(0)
        let threads = DispatchGroup()
        for _ in 0..<max(1, ProcessInfo.processInfo.activeProcessorCount) {
            threads.enter()
            let thread = Thread {
                defer { threads.leave() }
                guard let folder = try? TemporaryFolder() else { fatalError("no temporary folder can be made") }
                while let index = next.withLock({ next -> Int? in
                    defer { next += 1 }
                    return next < count ? next : nil
                }) { body(index, folder.path) }
            }
            thread.stackSize = 16 << 20
            thread.start()
        }
        threads.wait()
    }
}
