import Curl
import Foundation
import Logging
import Platforms
import Replication

struct SystemClock: ReplicationClock {
    var nowMilliseconds: Int64 { Int64(Date().timeIntervalSince1970 * 1000) }
    var monotonicSeconds: Double { Double(DispatchTime.now().uptimeNanoseconds) / 1e9 }
    func sleep(seconds: Double) async throws { try await Task.sleep(nanoseconds: UInt64(seconds * 1e9)) }
}
LoggingSystem.bootstrap { label in StreamLogHandler.standardError(label: label) }
let args = CommandLine.arguments
var c = HTTPClientConfiguration()
let client = HTTPClient(c)
let p = MLflowStore(try MLflowEndpoint(uri: args[2]), client: client)
let s = MLflowStore(try MLflowEndpoint(uri: args[3]), client: client)
let state = try ReplicationState.open(path: args[4])
var conf = MirrorConfiguration()
let board = ProgressBoard()
if args[1] == "backfill" {
    let r = try await Backfill(primary: p, secondary: s, state: state, configuration: conf, board: board, clock: SystemClock(), logger: Logger(label: "m")).run()
    dump(r)
} else {
    let r = try await Verify(primary: p, secondary: s, state: state, configuration: conf, deep: true, board: board, clock: SystemClock(), logger: Logger(label: "m")).run { print($0) }
    dump(r)
}
try state.close()
client.shutdown()
