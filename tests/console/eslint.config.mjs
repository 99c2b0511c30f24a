// The rules for the console's JavaScript and its tests: those eslint recommends, and a few that keep it short and safe.

import js from "@eslint/js";
import globals from "globals";

const rules = {
  ...js.configs.recommended.rules,
  eqeqeq: "error",
  "no-var": "error",
  "prefer-const": "error",
  "no-implied-eval": "error",
  "no-shadow": "error",
  "max-lines": ["error", { max: 300 }],
  "max-depth": ["error", 3],
  complexity: ["error", 22],
};

export default [
  { files: ["**/console/*.js"], languageOptions: { globals: globals.browser }, rules },
  { files: ["**/*.mjs"], languageOptions: { globals: { ...globals.node, document: "readonly", location: "readonly", innerWidth: "readonly" } }, rules },
];
