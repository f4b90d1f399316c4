"""Text navigation after LMRL-Gym: put the stale food from the living room into the fridge in the kitchen.

A house of eight rooms, the objective and the sentences in the manner of TextWorld, whose engine LMRL-Gym uses; this one
is written here, so that nothing has to be installed and no game compiled. Every observation ends with the commands
that are possible. Closing the fridge on the stale food earns 1, everything else nothing; after 15 commands the game is
truncated. Eating the stale food loses it.

As in LMRL-Gym's logs a player knows the way in one half of the house only and takes any command elsewhere, so that the
way from the bedroom to the fridge must be stitched.
"""

from __future__ import annotations

import numpy as np

from vlm_qsft.dialogue.reward_scale import RewardScale
from vlm_qsft.dialogue.tasks.language_task import LanguageTask, LogStatistics, ScoreScale, StepResult

COMMAND_LIMIT = 15
SHARE_KNOWING = 0.7
"""Share of the commands that a logged player gives on purpose, in the rooms that it knows."""

EXITS: dict[str, dict[str, str]] = {
    "bedroom": {"west": "living room", "south": "bathroom"},
    "bathroom": {"north": "bedroom", "west": "office"},
    "office": {"east": "bathroom", "north": "living room"},
    "living room": {"east": "bedroom", "south": "office", "west": "dining room"},
    "dining room": {"east": "living room", "west": "kitchen"},
    "kitchen": {"east": "dining room", "north": "garden", "west": "backyard"},
    "garden": {"south": "kitchen"},
    "backyard": {"east": "kitchen"},
}
HALVES = (
    frozenset({"bedroom", "bathroom", "office", "living room"}),
    frozenset({"living room", "dining room", "kitchen", "garden", "backyard"}),
)
"""What a logged player knows; both halves know the living room, where the food is."""

FOOD = "stale food"


class TextNavigation(LanguageTask):
    """See the module."""

    name = "text-navigation"
    purpose = "carry the stale food to the fridge of a house; 1 for success"
    horizon = COMMAND_LIMIT
    gamma = 0.95
    logs = LogStatistics(mean_return=0.26, success_rate=0.26)
    logs_source = "our own logs: the house is written anew"
    scores = ScoreScale(minimum=0.0, data_average=0.26, maximum=1.0)

    def reset(self, generator: np.random.Generator) -> str:
        """Put the player into any room."""
        rooms = sorted(EXITS)
        return self.begin(rooms[generator.integers(len(rooms))], generator)

    def begin(self, room: str, generator: np.random.Generator) -> str:
        """Begin in a given room."""
        self._generator = generator
        self._room, self._food, self._is_open, self._commands = room, "table", False, 0
        self._known = HALVES[generator.integers(2)]
        goal = "Your objective is to put the stale food on the table in the living room into the fridge in the kitchen."
        return f"{goal}\n{self._described()}"

    def step(self, action: str) -> StepResult:
        """Answer a command."""
        self._commands += 1
        out_of_time = self._commands == COMMAND_LIMIT
        command = action.removesuffix(self.end)
        if command not in self.possible():
            return StepResult(f"You can't do that. {self._described()}", 0.0, truncated=out_of_time)
        answer = self._carried_out(command)
        if self._food == "fridge" and not self._is_open:
            return StepResult("You close the fridge. The food is in it: you have won.\n", 1.0, True, success=True)
        if self._food == "eaten":
            return StepResult("You eat the stale food. You have lost.\n", 0.0, terminated=True)
        return StepResult(f"{answer} {self._described()}", 0.0, truncated=out_of_time)

    def possible(self) -> tuple[str, ...]:
        """Return the commands that do something here."""
        commands = [f"go {direction}" for direction in sorted(EXITS[self._room])]
        if self._food == "hand":
            commands += [f"drop {FOOD}", f"eat {FOOD}"]
            commands += [f"put {FOOD} on table"] if self._room == "living room" else []
        elif self._food in ("table", "fridge", self._room) and self._sees_food():
            origin = {"table": " from table", "fridge": " from fridge"}.get(self._food, "")
            commands.append(f"take {FOOD}{origin}")
        if self._room == "kitchen":
            commands.append("close fridge" if self._is_open else "open fridge")
            commands += [f"insert {FOOD} into fridge"] if self._is_open and self._food == "hand" else []
        return tuple(commands)

    def logged_action(self) -> str:
        """Do what leads on in a room that is known, now and then; else anything that is possible."""
        commands = self.possible()
        if self._room in self._known and self._generator.random() < SHARE_KNOWING:
            return self.expert_action()
        return commands[self._generator.integers(len(commands))] + self.end

    def expert_action(self) -> str:
        """Fetch the food, carry it to the fridge, close the fridge."""
        return self._leading_on() + self.end

    @classmethod
    def reward_scale(cls, gamma: float) -> RewardScale:
        """Return the scale: rewards are as they must be."""
        return RewardScale(0.0, 1.0)

    def _sees_food(self) -> bool:
        if self._food == "table":
            return self._room == "living room"
        if self._food == "fridge":
            return self._room == "kitchen" and self._is_open
        return self._food == self._room

    def _leading_on(self) -> str:
        if self._food == "fridge":
            return "close fridge" if self._room == "kitchen" else f"go {self._way_to('kitchen')}"
        if self._food == "hand":
            if self._room != "kitchen":
                return f"go {self._way_to('kitchen')}"
            return f"insert {FOOD} into fridge" if self._is_open else "open fridge"
        if self._sees_food():
            return next(command for command in self.possible() if command.startswith("take"))
        return f"go {self._way_to('living room' if self._food == 'table' else self._food)}"

    def _way_to(self, room: str) -> str:
        """Return the direction of a shortest way, by breadth-first search."""
        first = {self._room: ""}
        waiting = [self._room]
        for here in waiting:
            for direction, there in EXITS[here].items():
                if there not in first:
                    first[there] = first[here] or direction
                    waiting.append(there)
        return first[room]

    def _carried_out(self, command: str) -> str:
        verb, _, rest = command.partition(" ")
        if verb == "go":
            self._room = EXITS[self._room][rest]
            return f"You go {rest}."
        if verb in ("open", "close"):
            self._is_open = verb == "open"
        else:
            places = {"take": "hand", "eat": "eaten", "drop": self._room, "put": "table", "insert": "fridge"}
            self._food = places[verb]
        return f"You {command}."

    def _described(self) -> str:
        exits = EXITS[self._room]
        sights = [f"You are in the {self._room}."]
        if self._room == "living room":
            sights.append(f"There is a table{' with stale food on it' if self._food == 'table' else ''}.")
        if self._room == "kitchen":
            inside = " The stale food is in it." if self._is_open and self._food == "fridge" else ""
            sights.append(f"There is {'an open' if self._is_open else 'a closed'} fridge.{inside}")
        if self._food == self._room:
            sights.append("There is stale food on the floor.")
        sights.append(" ".join(f"There is an exit to the {direction}." for direction in sorted(exits)))
        sights.append("You are carrying stale food." if self._food == "hand" else "You are carrying nothing.")
        return f"{' '.join(sights)}\nAdmissible commands: {', '.join(self.possible())}\n"
