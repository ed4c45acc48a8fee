Feature: Stock
    Scenario: Selling
        Given 5 pieces
        When 2 are sold
        Then 3 are left

    Scenario Outline: Selling more
        Given <have> pieces
        When <sold> are sold
        Then <left> are left

        Examples:
            | have | sold | left |
            | 9    | 1    | 8    |
            | 7    | 7    | 0    |
            | 4    | 1    | 2    |
