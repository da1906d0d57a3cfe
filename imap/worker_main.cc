#include "imap/worker_main.h"

#include "imap/worker.h"
#include "role/process.h"

namespace dormouse::imap {

int worker_main() {
  role::Process process;  // Start, with the mail uid, then Go
  role::Sandbox sandbox;
  sandbox.files = true;
  sandbox.keep_root_directory = true;
  sandbox.switch_identity = process.start_message().switch_identity();
  process.set_sandbox(sandbox);
  Worker worker(process);
  return process.run(worker);  // sandbox, Ready, sessions until drained, retired or orphaned
}

}  // namespace dormouse::imap
