import Replication
import Testing

@testable import Platforms

@Suite struct SignedAddressTests {
    /// Two Unicode forms of one name are two files.
    @Test func eachFormOfANameHasItsOwnAddress() async throws {
        let addresses = SignedAddresses()
        let owner = ArtifactOwner.ID.run(RunID("r"))
        let names = ["\u{e9}.txt", "e\u{301}.txt", "z.txt"]
        await addresses.note(names, of: owner)
        for name in names {
            let found = try await addresses.address(name, of: owner, isFresh: false, now: 0) { paths in
                Dictionary(
                    uniqueKeysWithValues: paths.map {
                        (ExactName($0), SignedAddress(url: "https://h/\($0.utf8.count)/\($0)", headers: [], askedAt: 0))
                    })
            }
            #expect(found?.url.utf8.elementsEqual("https://h/\(name.utf8.count)/\(name)".utf8) == true)
        }
    }
}
