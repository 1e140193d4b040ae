// Runs the scenarios it is told to, one after another, and prints one line of JSON for each.

import "./answers.mjs";
import "./errors.mjs";
import "./limits.mjs";
import "./parameters.mjs";
import "./tools.mjs";
import { run } from "./scenario.mjs";

await run();
