import CCurl
import Glibc

extension ActiveTransfer {
    /// Looks at every limit; libcurl keeps `connect` for the request that connects, we keep it for those that wait for it.
    ///
    /// `isHostBusy`: whether another request to the same host is under way, so that waiting for its connection makes sense.
    /// Returns what is exceeded, or the time at which to look again.
    func checkDeadlines(isHostBusy: (ActiveTransfer) -> Bool) -> (exceeded: (kind: HTTPError.Kind, text: String)?, next: Double) {
        let now = clock.now
        let timeouts = transfer.request.timeouts
        var next = now + 1
        if let total = timeouts.total {
            if now >= startedAt + total { return ((.timeout, "no whole answer after \(total) s"), now) }
            next = min(next, startedAt + total)
        }
        guard isSent else {
            // Without this, requests that wait for one connection to a dead host would time out one after the other.
            let end = startedAt + timeouts.connect + 0.05
            if now < end { return (nil, min(next, end)) }
            return (isHostBusy(self) ? nil : (.connectTimeout, "no connection after \(timeouts.connect) s"), next)
        }
        if !isBodyDone || !isAnswered { noteUpload() }
        // Who waits for its caller does not stall.
        if paused.receiving || (paused.sending && !isBodyDone && !isAnswered) {
            activeAt = now
            return (nil, next)
        }
        let isWaiting = isBodyDone && !isAnswered
        let limit = isWaiting ? timeouts.firstByte : timeouts.stall
        if now >= activeAt + limit {
            return (isWaiting ? (.timeout, "no answer after \(limit) s") : (.stalled, "no byte moved for \(limit) s"), now)
        }
        // An upload's progress is only seen here, so look several times per limit.
        next = min(next, isBodyDone ? activeAt + limit : now + max(0.01, limit / 4))
        return (nil, next)
    }

    /// Scheme, host and port as they stand in the URL.
    var authority: Substring {
        let url = transfer.request.url
        guard let scheme = url.utf8.firstRange(of: "://") else { return url[...] }
        let end = url.utf8[scheme.upperBound...].firstIndex { $0 == 0x2F || $0 == 0x3F || $0 == 0x23 }
        return url[..<(end ?? url.endIndex)]
    }

    private func noteUpload() {
        let count = ccurl_get_size(handle.easy, CURLINFO_SIZE_UPLOAD_T)
        if count != uploadedBytes {
            uploadedBytes = count
            activeAt = clock.now
        }
    }

    /// The earliest time at which a limit can be exceeded, before anything is sent.
    var firstDeadline: Double {
        let timeouts = transfer.request.timeouts
        return startedAt + min(timeouts.connect + 0.05, timeouts.firstByte, timeouts.stall, timeouts.total ?? .infinity)
    }
}

extension LoopClock {
    func update() {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        now = Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}
